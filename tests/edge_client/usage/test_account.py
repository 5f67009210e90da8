"""One text's account: what it holds for requests under way, and what it makes of those that nobody will answer."""

from __future__ import annotations

from collections.abc import Iterator
from time import sleep

import pytest

from edge_client.edge import Edge
from edge_client.target.verdict import Question
from edge_client.testing import LoopbackTransport, Service, ServiceStream
from edge_client.usage.account import BLOCK, Account
from edge_client.usage.amount import Amount
from edge_client.usage.caps import Caps
from edge_client.usage.daybook import Payee
from edge_client.usage.ledger import Ledger
from edge_client.usage.prices import Prices
from shared.errors import CapReached, LinkBroken, TargetBusy, TargetRefused
from shared.wire.guesses import TEXT
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.clients import client_of
from tests.edge_client.scripted_device import fake_bundle, fake_cloud, fake_edge
from tests.edge_client.target.conversation import PROMPT, make_cloud, open_session, own
from tests.edge_client.usage.billing import Billing, is_just, total, untimed
from tests.grpc_service import Servicer, serving

PASS = wire.Timing(forward_us=1000)
NO_END = frozenset[int]()


def request(tokens: int, write_on: int = 0, audit_only: bool = False) -> wire.DecodeRequest:
    return wire.DecodeRequest(tokens=[1] * tokens, write_on=write_on, audit_only=audit_only)


def verdict(number: int, token: int | None = 7) -> wire.DecodeResponse:
    return wire.DecodeResponse(request_id=number, verdict=wire.Verdict(token=token, timing=PASS))


def written(number: int, *tokens: int, done: bool = False) -> wire.DecodeResponse:
    message = wire.Continuation(tokens=tokens, done=done, timing=PASS if tokens else None)
    return wire.DecodeResponse(request_id=number, continuation=message)


def held(ledger: Ledger) -> Amount:
    return untimed(total(ledger).reserved)


def test_all_that_a_request_may_take_is_held_before_it_goes_out():
    ledger = Ledger()
    account = Account(ledger)
    account.ask(1, request(100, write_on=500))
    assert held(ledger) == Amount(501, 100, 501) + untimed(BLOCK)
    for number in range(2, 2 + BLOCK.calls):
        account.ask(number, request(1))
    assert held(ledger) == Amount(501, 100, 501) + untimed(BLOCK), "the block was there for them"
    account.ask(99, request(1))
    assert held(ledger) == Amount(501 + 33, 100 + 33, 501 + 33) + untimed(BLOCK)


def test_what_is_in_doubt_stays_held_while_the_text_goes_on():
    ledger = Ledger()
    account = Account(ledger)
    account.ask(1, request(100, write_on=500))
    account.ended(LinkBroken("cut"))
    for number in range(1, 2 + BLOCK.calls):
        account.ask(number, request(1))
        assert held(ledger).covers(account.lost + Amount(number, number, number))


def test_an_audit_writes_nothing():
    account = Account(ledger := Ledger())
    account.ask(1, request(9, audit_only=True))
    account.answered(verdict(1, token=None), NO_END)
    assert (untimed(account.spent), account.lost) == (Amount(1, 9, 0), Amount())
    assert held(ledger) == Amount(1, 9) + untimed(BLOCK)


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (LinkBroken("cut"), True),
        (LinkBroken("nobody there", reached=False), False),
        (TargetBusy("full"), False),
        (TargetRefused("no"), False),
        (KeyboardInterrupt(), True),
        (None, True),
    ],
)
def test_what_an_error_leaves_unknown(error, is_lost):
    account = Account()
    account.ask(1, request(9))
    account.ended(error)
    assert (account.spent, account.lost) == (Amount(), Amount(1, 9, 1) if is_lost else Amount())


def test_a_link_that_breaks_may_have_had_all_of_it_written():
    account = Account()
    account.ask(1, request(9, write_on=50))
    for answer in (verdict(1), written(1, 5, 6)):
        account.answered(answer, NO_END)
    account.ended(LinkBroken("cut"))
    assert (untimed(account.spent), account.lost) == (Amount(2, 9, 3), Amount(48, 0, 48))


def test_a_target_that_leaves_a_text_off_may_have_begun_one_pass_more():
    account = Account()
    account.ask(1, request(9, write_on=50))
    account.answered(verdict(1), NO_END)
    account.ended(TargetBusy("full"))
    assert (untimed(account.spent), account.lost) == (Amount(1, 9, 1), Amount(1, 0, 1))


@pytest.mark.parametrize("seconds", [0.0, 0.0101, 9.0])
def test_of_a_text_that_is_given_up_no_more_can_have_been_written_than_there_was_time_for(seconds):
    now = [100.0]
    account = Account(now=lambda: now[0])
    account.ask(1, request(9, write_on=50))
    for answer in (verdict(1), written(1, 5), written(1, 6)):
        account.answered(answer, NO_END)
    now[0] += seconds
    account.ended()
    passes = {0.0: 1, 0.0101: 11 + 1 - 2, 9.0: 48}[seconds]
    assert account.lost == Amount(passes, 0, passes)


@pytest.mark.parametrize("last", [written(1, 5, 6), written(1, 6, done=True), written(1, done=True), verdict(1, 6)])
def test_where_the_target_is_done_nothing_is_unknown(last):
    account = Account()
    account.ask(1, request(9, write_on=50))
    if not last.HasField("verdict"):
        account.answered(verdict(1), NO_END)
    account.answered(last, frozenset({6}))
    account.ended(LinkBroken("cut"))
    assert account.lost == Amount()


def test_a_newer_answer_ends_what_an_older_request_left_unfinished_but_for_a_pass():
    account = Account()
    account.ask(1, request(9, write_on=50))
    account.answered(verdict(1), NO_END)
    account.ask(2, request(1))
    account.answered(written(1, 5), NO_END)
    account.answered(verdict(2), NO_END)
    assert (untimed(account.spent), account.lost) == (Amount(3, 10, 3), Amount(1, 0, 1))


def test_what_took_no_work_is_not_spent():
    account = Account()
    for number, answer in enumerate(({"stale": wire.Stale()}, {"resync": wire.Resync(held=3)}), 1):
        account.ask(number, request(9))
        account.answered(wire.DecodeResponse(request_id=number, **answer), NO_END)
    account.ended(LinkBroken("cut"))
    assert (account.spent, account.lost) == (Amount(), Amount())


def test_a_request_asks_for_as_much_as_there_is_room_for():
    account = Account(Ledger(), caps=Caps(cap_calls=20))
    first = request(3, write_on=100)
    account.ask(1, first)
    assert first.write_on == 19
    with pytest.raises(CapReached):
        account.ask(2, request(1))
    with pytest.raises(CapReached):  # asked once, and known from then on
        account.ask(3, request(1))


def test_nothing_is_sent_once_nobody_knows_what_was_spent(tmp_path):
    ledger = Ledger(tmp_path)
    account = Account(ledger, caps=Caps(cap_calls=1000))
    account.ask(1, request(1))
    page = tmp_path / f"{ledger.today()}.json"
    page.write_text("{")
    with pytest.raises(CapReached, match="cannot be counted"):
        account.ask(2, request(1 + 2 * BLOCK.tokens_in))
    assert page.read_text() == "{"


def test_money_of_another_currency_is_no_money():
    ledger, caps = Ledger(), Caps(cap_money=2.0)
    for currency in ("EUR", "USD"):
        account = Account(ledger, Payee(prices=Prices(price_call=1.0, currency=currency)), caps)
        for number in (1, 2):
            account.ask(number, request(1))
        with pytest.raises(CapReached, match=f"2.0000 {currency} spent today"):
            account.ask(3, request(1))


def test_a_cap_that_was_reached_is_not_reached_tomorrow():
    now = [1_795_779_000.0]
    account = Account(Ledger(None, lambda: now[0]), caps=Caps(cap_calls=1))
    account.ask(1, request(1))
    with pytest.raises(CapReached):
        account.ask(2, request(1))
    now[0] += 86_400
    account.answered(verdict(1), NO_END)
    account.ask(2, request(1))


def test_what_was_asked_before_a_cap_was_reached_is_still_answered():
    """And whoever does not wait hears nothing of the rest: a finished text lacks its last audit, no more."""
    account = Account(Ledger(), caps=Caps(cap_calls=1))
    with open_session(client_of(LoopbackTransport(make_cloud())), account=account) as session:
        first = Question([*PROMPT, own(PROMPT)], len(PROMPT), len(PROMPT))
        second = Question(first.ids, len(first.ids), len(first.ids))
        session.post(first)
        session.post(second)
        answer = session.collect(wait=True)
        assert answer is not None
        assert answer[0] is first
        session.post(Question([*first.ids, answer[1].own.token], len(first.ids) + 1, len(first.ids) + 1))
        assert list(session.collect_all(1.0)) == []
        session.drop()
        session.guess([], [1], [TEXT])  # which costs nothing
        session.post(Question([*first.ids, answer[1].own.token], len(first.ids) + 1, len(first.ids) + 1))
        with pytest.raises(CapReached):
            session.collect(wait=True)
    assert (untimed(account.spent), account.lost) == (Amount(1, len(PROMPT) + 1, 1), Amount())


def test_a_ledger_that_was_forgotten_in_the_middle_of_a_text_goes_on(tmp_path):
    ledger = Ledger.at(tmp_path)
    with fake_edge(ledger=tmp_path, mode="cloud", max_tokens=20) as edge, edge.stream("Tom") as stream:
        next(stream)
        assert ledger.forget() == 1
        stream.finish()
    assert (total(ledger).spent.calls, held(ledger)) == (20, Amount())


class _Paced:
    """A service whose passes take time, and say so."""

    def __init__(self, inner: Service) -> None:
        self._inner = inner
        self.lives, self.describe, self.release = inner.lives, inner.describe, inner.release

    def stream(self) -> _PacedStream:
        return _PacedStream(self._inner.stream())


class _PacedStream:
    def __init__(self, inner: ServiceStream) -> None:
        self._inner = inner

    def answers(self, message: wire.DecodeRequest) -> Iterator[wire.DecodeResponse]:
        for answer in self._inner.answers(message):
            sleep(0.001)
            kind = answer.WhichOneof("answer")
            if kind == "verdict" or (kind == "continuation" and answer.continuation.tokens):
                getattr(answer, kind).timing.forward_us = 1000
            yield answer


@pytest.mark.slow
def test_texts_that_end_early_over_grpc_leave_a_just_ledger(tmp_path):
    """The target writes on until it hears that nobody reads; that is within what is held to be in doubt."""
    target = Billing(fake_cloud())
    with serving(Servicer(_Paced(target))) as port:
        for mode in ("cloud", "exact", "sprint"):
            options = {"bundle": fake_bundle(), "memory": False, "ledger": tmp_path, "mode": mode, "max_tokens": 400}
            with Edge(f"127.0.0.1:{port}", **options) as edge:
                for until in (1, 7, 40):
                    with edge.stream("Tom") as stream:
                        for _ in range(until):
                            next(stream)
    assert is_just(total(Ledger.at(tmp_path)), target.bill)


def test_nobody_is_paid_for_nothing(tmp_path):
    """A text that ends before anything is asked writes no page."""
    with fake_edge(ledger=tmp_path, mode="exact") as edge:
        edge.stream("Tom").close()
    assert not list(tmp_path.iterdir())
