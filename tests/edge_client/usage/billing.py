"""A target that counts what it does for its callers, as a provider who sends a bill does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock

from edge_client.testing import Service, ServiceStream
from edge_client.usage.amount import Amount
from edge_client.usage.daybook import Figures
from edge_client.usage.ledger import Ledger
from shared.wire.v1 import target_pb2 as wire


class Billing:
    """Another service, whose work is counted when it is done, whoever hears of it.

    Args:
        told: is told of the count after every answer, before that is sent.

    Attributes:
        bill: so far; what it takes in time is not counted.
    """

    def __init__(self, inner: Service, told: Callable[[Amount], None] = lambda _: None) -> None:
        self._inner, self._told = inner, told
        self._lock = Lock()
        self.bill = Amount()

    @property
    def lives(self) -> int:
        return self._inner.lives

    def describe(self) -> wire.DescribeResponse:
        return self._inner.describe()

    def stream(self) -> ServiceStream:
        return _Stream(self, self._inner.stream())

    def release(self, session_id: bytes) -> None:
        self._inner.release(session_id)

    def evict(self) -> None:
        self._inner.evict()

    def restart(self) -> None:
        self._inner.restart()

    def count(self, amount: Amount) -> None:
        with self._lock:
            self.bill += amount
        self._told(self.bill)


class _Stream:
    def __init__(self, billing: Billing, inner: ServiceStream) -> None:
        self._billing, self._inner = billing, inner

    def answers(self, message: wire.DecodeRequest) -> Iterator[wire.DecodeResponse]:
        for answer in self._inner.answers(message):
            if message.audit_only and not message.tokens:
                pass  # it takes no pass
            elif answer.HasField("verdict"):
                self._billing.count(Amount(1, len(message.tokens), answer.verdict.HasField("token")))
            elif answer.continuation.tokens:
                self._billing.count(Amount(1, 0, len(answer.continuation.tokens)))
            yield answer


def total(ledger: Ledger, *days: str) -> Figures:
    """What the ledger says of some days, or of all."""
    pages = [ledger.page(day) for day in days or ledger.days()]
    return sum((figures for page in pages for figures in page.values()), Figures())


def untimed(amount: Amount) -> Amount:
    """An amount without its microseconds, which no bill here counts."""
    return Amount(amount.calls, amount.tokens_in, amount.tokens_out)


def is_just(figures: Figures, bill: Amount) -> bool:
    """Whether a ledger says neither more than is known, nor less than may be."""
    spent, most = untimed(figures.spent), untimed(figures.spent + figures.reserved)
    return bill.covers(spent) and most.covers(bill)
