"""What one text may spend and has spent: asked before a request goes out, told of everything that comes back.

Before a request goes out, the ledger holds all that it may take, so whatever happens then, the ledger never says less
than what was spent. A block more is reserved at once, so that the next requests need no file; and the text's end gives
back what is left. Of a request that was never answered nobody knows what it took: it stays reserved.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from edge_client.usage.amount import Amount
from edge_client.usage.caps import Caps, Room
from edge_client.usage.cost import Cost
from edge_client.usage.daybook import Figures, Page, Payee
from edge_client.usage.ledger import Ledger
from edge_client.usage.summary import Summary
from shared.errors import CapReached, InputError, LinkBroken, TandemError, TargetBusy, TargetRefused
from shared.wire.v1 import target_pb2 as wire

# Reserved beyond what a request may take: so much more a text that is killed may leave on the ledger.
BLOCK = Amount(calls=32, tokens_in=2048, tokens_out=64, microseconds=10_000_000)
# A block is reserved only where so many would fit under the caps, lest texts hold what others could use.
SPARE = 8
# Of a text that the target leaves off, one more may have begun.
_PASS = Amount(calls=1, tokens_out=1)


@dataclass(slots=True)
class _Open:
    """A request under way.

    Attributes:
        amount: what it may still take.
        time: when it was sent, seconds.
        is_read: whether its verdict has come.
        passes, written: in which the target has written on for it, and so many tokens.
    """

    amount: Amount
    time: float
    is_read: bool = False
    passes: int = 0
    written: int = 0


class Account:
    """One text's account.

    Args:
        payee: who is asked.
        step: what a pass takes the target, seconds, as far as it says.
        now: seconds; of any beginning.

    Attributes:
        spent: by this text, as far as the target said.
        lost: what it may have taken besides, at most.
    """

    def __init__(
        self,
        ledger: Ledger | None = None,
        payee: Payee | None = None,
        caps: Caps | None = None,
        step: float = 0.0,
        now: Callable[[], float] = perf_counter,
    ) -> None:
        self.spent = self.lost = Amount()
        self._ledger, self._payee, self._caps = ledger or Ledger(), payee or Payee(), caps or Caps()
        self._now = now
        self._day = ""
        self._granted = self._held = Amount()  # that the ledger holds for this text, on that day; what it is about to
        self._fresh = Amount()  # spent on that day, and the ledger does not know yet
        self._lost = Amount()  # on that day
        self._open: dict[int, _Open] = {}
        self._pass = 1e6 * step  # microseconds that one takes, on average of this text's
        self._fastest = math.inf
        self._refused: dict[str, CapReached] = {}
        self._trouble: list[str] = []
        self._is_kept = True

    @property
    def is_refused(self) -> bool:
        """Whether a cap has kept a request from going out."""
        return bool(self._refused)

    def ask(self, number: int, request: wire.DecodeRequest) -> None:
        """A request is about to go out; where not all may be written on that it asks for, it then asks for less.

        Args:
            number: of the request on its stream.

        Raises:
            CapReached: it may not go out. What is under way stays so.
        """
        if request.audit_only and not request.tokens:
            return  # which the target answers without any work
        day = self._ledger.today()
        if (refusal := self._refused.get(day)) is not None:
            raise CapReached(refusal.clause, refusal.advice, options=refusal.options)
        if self._is_kept and (day != self._day or not self._left().covers(self._need(request, request.write_on))):
            try:
                self._reserve(day, request)
            except CapReached as error:
                self._refused[day] = error
                raise
        need = self._need(request, request.write_on)
        self._open[number] = _Open(Amount(need.calls, need.tokens_in, need.tokens_out), self._now())

    def answered(self, answer: wire.DecodeResponse, end_ids: frozenset[int]) -> None:
        """An answer came; those to older requests will not any more.

        Args:
            end_ids: tokens after which the target writes none.
        """
        for number in [number for number in self._open if number < answer.request_id]:
            older = self._open.pop(number)
            self._lose(_PASS if older.is_read else older.amount)
        if (one := self._open.get(answer.request_id)) is None:
            return
        kind = answer.WhichOneof("answer")
        if kind == "reading":  # it is not answered yet
            return
        if kind == "verdict":
            verdict, timing, one.is_read = answer.verdict, answer.verdict.timing, True
            own = [verdict.token] if verdict.HasField("token") else []
            took = Amount(1, one.amount.tokens_in, len(own), _microseconds(timing))
            over = not own or own[-1] in end_ids
        elif kind == "continuation":
            own, timing = list(answer.continuation.tokens), answer.continuation.timing
            took = Amount(int(bool(own)), 0, len(own), _microseconds(timing))
            over = answer.continuation.done or any(token in end_ids for token in own)
            one.passes += bool(own)
            one.written += len(own)
        else:  # stale or resync: no work
            del self._open[answer.request_id]
            return
        self.spent += took
        self._fresh += took
        if took.calls and timing.forward_us:
            self._pass = self.spent.microseconds / self.spent.calls
            self._fastest = min(self._fastest, timing.forward_us)
        left = (one.amount - took).floored()
        one.amount = Amount(left.tokens_out, left.tokens_in, left.tokens_out)  # a pass writes a token or more
        if over or not one.amount:
            del self._open[answer.request_id]

    def ended(self, error: BaseException | None = None) -> None:
        """The stream is gone, by an error or because nobody wants more: no request of it is answered any more."""
        is_refused = isinstance(error, TargetBusy | TargetRefused)
        is_broken = isinstance(error, TandemError) and not isinstance(error, CapReached)
        for one in self._open.values():
            if is_refused:
                self._lose(_PASS if one.is_read else Amount())
            elif not isinstance(error, LinkBroken) or error.reached:
                self._lose(one.amount if is_broken else self._unheard(one))
        self._open.clear()

    def settle(self, summary: Summary, prompt_length: int) -> Cost:
        """The text has ended: give back what is left, and say what it cost.

        Args:
            summary: of the text.
            prompt_length: tokens of its prompt.
        """
        self.ended()
        figures = Figures(
            shown=summary.tokens,
            prompt=prompt_length - summary.reused_target,
            bytes_up=summary.bytes_up + summary.bytes_prompt,
            bytes_down=summary.bytes_down,
        )
        if self._day:
            self._close_day(figures)
            self._day = ""
        return Cost(self._payee.prices, figures + Figures(1, spent=self.spent, reserved=self.lost))

    def trouble(self) -> list[str]:
        """What went wrong with the ledger, a sentence each, once."""
        found, self._trouble = self._trouble, []
        return found

    def _reserve(self, day: str, request: wire.DecodeRequest) -> None:
        """Have the ledger hold what a request may take, on a day, and tell it what was spent."""
        stays, moves = day == self._day, self._under_way()
        held, fresh = (self._granted, self._fresh) if stays else (Amount(), Amount())
        keeps = moves + self._lost if stays else moves

        def edit(page: Page) -> None:
            room = room_of(page, self._caps, self._payee, fresh + keeps - held)
            granted = keeps + self._grant(room, request)
            self._add(page, Figures(texts=int(not self._day), spent=fresh, reserved=granted - held))
            self._held = granted

        try:
            self._trouble += self._ledger.change(day, edit, begins_anew=not self._caps)
        except (OSError, InputError) as error:
            if self._caps:
                raise uncounted(error) from error
            self._is_kept = False
            self._trouble.append(
                f"what this text spends cannot be written down ({_why(error)}): `edge-client usage` will not know of it"
            )
            return
        if self._day and not stays:  # a new day: what is under way counts there
            self._close_day(Figures())
        self._day, self._granted, self._fresh = day, self._held, Amount()

    def _close_day(self, news: Figures) -> None:
        """Tell the ledger what was spent on a day, and that nothing more will be, beside other news."""
        news += Figures(spent=self._fresh, reserved=self._lost - self._granted)
        try:
            self._trouble += self._ledger.change(self._day, lambda page: self._add(page, news))
        except (OSError, InputError) as error:
            self._trouble.append(
                f"what this text spent could not be written down ({_why(error)}): the ledger keeps what was reserved "
                "for it instead, which is more"
            )
        self._granted = self._fresh = self._lost = Amount()

    def _grant(self, room: Room, request: wire.DecodeRequest) -> Amount:
        """What is reserved for a request, and those after it; it may have to ask for less."""
        need = self._need(request, request.write_on)
        if room.fits(SPARE * (need + BLOCK)):
            return need + BLOCK
        fitting = bisect_left(range(request.write_on + 1), True, key=lambda n: not room.fits(self._need(request, n)))
        if fitting == 0:
            raise room.refusal(self._need(request, 0))
        request.write_on = fitting - 1
        return self._need(request, request.write_on)

    def _need(self, request: wire.DecodeRequest, write_on: int) -> Amount:
        """What a request may take, and about how long."""
        passes = 1 + write_on
        written = 0 if request.audit_only else passes
        return Amount(passes, len(request.tokens), written, max(1, math.ceil(passes * self._pass)))

    def _left(self) -> Amount:
        """Of what the ledger holds for this text."""
        return self._granted - self._fresh - self._lost - self._under_way()

    def _under_way(self) -> Amount:
        return sum((one.amount for one in self._open.values()), Amount())

    def _unheard(self, one: _Open) -> Amount:
        """What a request may have taken, at most, by the time the target hears that nobody wants more.

        Of what it writes on, that is no more than it can have written since it was asked, at its fastest, and one pass.
        """
        if not one.is_read or self._fastest == math.inf:
            return one.amount
        passes = max(1, math.ceil(1e6 * (self._now() - one.time) / self._fastest) + 1 - one.passes)
        tokens = math.ceil(passes * max(1.0, one.written / max(one.passes, 1)))
        return Amount(min(passes, one.amount.calls), 0, min(tokens, one.amount.tokens_out))

    def _lose(self, amount: Amount) -> None:
        """So much may have been done, and nobody will ever know."""
        self._lost += amount
        self.lost += amount

    def _add(self, page: Page, news: Figures) -> None:
        page[self._payee] = (page.get(self._payee, Figures()) + news).floored()


def room_of(page: Page, caps: Caps, payee: Payee, besides: Amount) -> Room:
    """What a day has left.

    Args:
        besides: what the page does not say yet, at the payee's prices.
    """
    all_ = [(other.prices, figures.spent + figures.reserved) for other, figures in page.items()]
    all_.append((payee.prices, besides))
    spent = sum((amount for _, amount in all_), Amount())
    money = sum(prices.money(amount) for prices, amount in all_ if prices.currency == payee.prices.currency)
    return Room(caps, payee.prices, spent, money)


def uncounted(error: Exception) -> CapReached:
    """Why nothing is sent where there is a cap, and no ledger that can be read and written."""
    return CapReached(
        f"what was spent today cannot be counted ({_why(error)}), and there is a cap, so nothing is sent to the target",
        "see to that file, or take the cap away",
    )


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f', {error.filename}' if error.filename else ''}"
    return str(error)


def _microseconds(timing: wire.Timing) -> int:
    return timing.queue_us + timing.forward_us
