"""One generation's conversation with the target: what it knows, and what it is asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from time import perf_counter

from edge_client.target.absence import Absence
from edge_client.target.known_prefix import Known
from edge_client.target.posted import Distribution, Posted, guesses_of, part_of, request_of, seconds_of
from edge_client.target.reliable_link import ReliableLink
from edge_client.target.retry import PASSING, Patience, Retry
from edge_client.target.verdict import Audit, Own, Question, Reader, Verdict, nonsense
from edge_client.usage.meter import Meter
from shared import prefix_hash
from shared.errors import CapReached, TargetAway, TargetError, TargetUnavailable
from shared.wire.v1 import target_pb2 as wire

# So many tokens take long enough for both sides to read them at once; for fewer, one more request is not worth it.
WORTH_READING_AHEAD = 256


class TargetSession(AbstractContextManager["TargetSession"]):
    """Asks the target about one text. Evictions, restarts and broken links are mended here, unseen.

    The session remembers what the target knows and what is audited, so that only new tokens travel and no position
    is audited twice. Every method takes the whole text, which may only grow, but for tokens that were not shown.

    Args:
        make_link: makes the way to the target, which counts in the meter that it is given.
        patience: makes the patience for one call, and whether somebody waits for it.
        limit: most tokens in one request.
        known: what the target holds of the prompt already.
        keep: takes what it holds in the end, where the text is finished; says whether it keeps the session.
        absence: makes the patience with a target that is away; that of a call by default.

    Attributes:
        meter: what the conversation has taken so far.
        author: whose text it is.
        reused: tokens of the prompt that the target held from an earlier text.
        drops: how often questions under way were given up, so that those which still matter have to be posted again.
    """

    def __init__(
        self,
        make_link: Callable[[Meter], ReliableLink],
        reader: Reader,
        limit: int,
        prompt_length: int,
        retry: Retry,
        patience: Callable[[Retry, bool], Patience],
        known: Sequence[int] = (),
        keep: Callable[[Sequence[int]], bool] = lambda _: False,
        absence: Callable[[], Patience] | None = None,
    ) -> None:
        self.meter = Meter()
        self._link = make_link(self.meter)
        self.author = self._link.author
        self._reader, self._limit = reader, limit
        self._retry, self._patience = retry, patience
        self._patience_with_absence = absence or (lambda: patience(retry, True))
        self._known = Known(known)
        self._keep, self._is_finished = keep, False
        self.reused = len(known)
        self._prompt_length = self._audited = prompt_length
        self._posted: deque[Posted] = deque()
        self._trouble: TargetUnavailable | None = None
        self._answered = 0  # number of the request that was answered last
        self._read_at = 0.0  # when what was to be read ahead was read, seconds
        self._newest: Question | None = None  # which alone may be one that `write_on` goes on with
        self.drops = 0

    def post(
        self, question: Question, q: Sequence[Distribution] = (), is_wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """Ask without waiting.

        A question may build on answers that are still under way, and `question.ids` then hold guesses of them: its
        `audit_from` is where the text goes on after the last, behind the target's own token if that brings one. Of
        questions with different guesses only that with the right ones is ever answered.

        Args:
            q: as for `judge`.
            is_wanted: says no where nobody wants the answer any more; then it is as if nobody had asked.

        Raises:
            TargetRefused: the target refuses.
        """
        known, self._newest = self._known, question
        position = question.audit_from if self._posted else len(known)
        hash_ = prefix_hash.extend(known.hash, question.ids[len(known) : position])
        number = None
        if self._trouble is None and len(question.ids) - position <= self._limit:
            try:
                number = self._link.post(request_of(question, position, hash_, q))
            except CapReached:
                pass  # who comes to wait for the answer hears of it; those under way come before
            except PASSING as error:
                self._trouble = error
        self._posted.append(Posted(number, question, position, hash_, q, is_wanted, perf_counter()))

    def read_ahead(self, ids: Sequence[int]) -> None:
        """Have a text read before anything is asked of it, if that is long. Never waits, and may come to nothing."""
        if self._posted or not WORTH_READING_AHEAD <= len(ids) - len(self._known) <= self._limit:
            return
        self.post(Question(tuple(ids), len(ids), len(ids), audit_only=True))
        posted = self._posted.pop()
        if posted.number is not None:
            self._posted.append(replace(posted, is_ahead=True))

    def collect(self, wait: bool) -> tuple[Question, Verdict] | None:
        """The next answer, in the order of the questions, of those whose guesses were right.

        Where the link broke, or the target has lost the text, the oldest question is asked again, and the others are
        given up: see `drops`.

        Args:
            wait: for it; otherwise None is returned where there is none yet.

        Raises:
            TargetError, ProtocolError: as `judge` does.
        """
        return self._collect(self._patience(self._retry, True) if wait else None)

    def collect_all(self, seconds: float) -> Iterator[tuple[Question, Verdict]]:
        """All answers that come within so many seconds."""
        patience = self._patience(replace(self._retry, attempt=seconds, total=seconds), False)
        with suppress(TargetError):  # nobody waits: the text is on the screen
            while (answer := self._collect(patience)) is not None:
                yield answer

    def _collect(self, patience: Patience | None) -> tuple[Question, Verdict] | None:
        while self._posted:
            posted = self._posted[0]
            is_due = (posted.position, posted.hash) == (len(self._known), self._known.hash) and posted.is_wanted()
            if posted.number is None or self._trouble is not None:
                if not is_due:
                    self._posted.popleft()
                    continue
                if patience is None:
                    return None
                if self._trouble is not None:
                    self._link.mend(self._trouble, patience)
                if again := self._ask_again(posted, patience):
                    return again
                continue
            try:
                answer = self._link.collect(posted.number, patience)
            except PASSING as error:
                self._trouble = error
                continue
            if answer is None:
                return None
            if is_due and answer.WhichOneof("answer") != "verdict":
                if again := self._ask_again(posted, patience or self._patience(self._retry, True)):
                    return again
                continue
            self._posted.popleft()
            if is_due:
                verdict = self._read(answer.verdict, posted.question)
                now, self._answered = perf_counter(), posted.number
                if posted.is_ahead:
                    self._read_at = now
                    continue
                if posted.time > self._read_at:  # others have waited for the text to be read
                    self.meter.travelled(max(now - posted.time - seconds_of(answer.verdict.timing), 0.0))
                return posted.question, verdict
        return None

    def drop(self) -> None:
        """Give up all questions under way."""
        self._posted.clear()
        self._trouble = None
        self.drops += 1

    def judge(self, ids: Sequence[int], judge_from: int, q: Sequence[Distribution] = ()) -> Verdict:
        """Have `ids[judge_from:]` judged, and audit what was shown since the last call.

        Args:
            ids: the whole text, held tokens included.
            judge_from: position of the first judged token.
            q: with the residual coupling, the draft's distribution for each judged token (ids, probabilities).

        Raises:
            TargetError: the target cannot be reached in time, or refuses.
            ProtocolError: it answers nonsense.
        """
        patience = self._patience(self._retry, True)
        if self._posted and self._posted[0].is_ahead:
            self._collect(patience)
        self._align(ids[:judge_from])
        return self._exchange(Question(ids, self._audited, judge_from), patience, q)

    def write_on(
        self, ids: Sequence[int], count: int, waits: Callable[[], bool] = lambda: True
    ) -> Iterator[Own | None]:
        """Let the target write at most `count` tokens after `ids`, until the text or the context ends.

        Tokens of `ids` that are not audited yet stay so. The iterator may be dropped at any time.

        Args:
            waits: whether there is nothing better to do than to wait for the next token.

        Yields:
            Each token as it arrives; None where none has come and nobody waits.

        Raises:
            As `judge` does.
        """
        text = list(ids)
        end = len(text) + count
        while len(text) < end:
            self._align(text)
            self._audited = len(text)
            question = Question.writing(text, end - len(text))
            if self._newest != question or all(one.question is not self._newest for one in self._posted):
                self.post(question)
            while (answer := self.collect(waits())) is None:
                yield None
            if (own := answer[1].own) is None:
                return
            text.append(own.token)
            yield own
            yield from self._continuation(text, end, waits)
            if text[-1] in self._reader.end_ids:
                return

    @property
    def guess_stream(self) -> int | None:
        """The stream, if guesses may name those sent before on it."""
        return self._link.streams if self._link.names_guesses else None

    def begin_writing(self, ids: Sequence[int], count: int) -> None:
        """Ask for what `write_on` will ask, behind all that is under way. Never waits, and may come to nothing."""
        self.post(question := Question.writing(ids, count), is_wanted=lambda: self._newest is question)

    def guess(
        self, before: Sequence[int], tokens: Sequence[int], parents: Sequence[int], odds: Sequence[float] = ()
    ) -> None:
        """Tell the target what it may write after all that it is known to have written. Never waits.

        Args:
            before, tokens, parents, odds: guesses that were told, and a `shared.wire.guesses.GuessTree` after them.
        """
        if self._trouble is None:
            try:
                self._link.post(guesses_of(self._known, before, tokens, parents, odds))
            except PASSING as error:
                self._trouble = error

    def audit(self, ids: Sequence[int], wait: float | None = None) -> Audit | None:
        """Have all of `ids` audited that is not yet; what is under way is given up.

        Args:
            wait: for at most so many seconds, and then return None; None where the text cannot go on without it.

        Raises:
            TargetError: as `judge` does, where there is no end to `wait`.
            ProtocolError: the target answers nonsense.
        """
        self.drop()
        self._align(ids)
        question = Question(ids, self._audited, len(ids), audit_only=True)
        if wait is None:
            return self._exchange(question, self._patience(self._retry, True)).audit
        with suppress(TargetError):  # nobody waits: the text is on the screen
            if len(ids) > self._audited:
                patience = self._patience(replace(self._retry, attempt=wait, total=wait), False)
                return self._exchange(question, patience).audit
        return None

    def leave_off(self, ids: Sequence[int], away: TargetAway, then: str) -> Absence:
        """Wait no longer for a target that is away.

        Args:
            ids: the text, of which all is shown.
            then: what becomes of it meanwhile, a clause for its reader.
        """
        self.drop()
        self._align(ids)
        # No tokens but what it may hold already; or the first, where it holds none, for a request is about some text.
        held, at = max(len(self._known), 1), len(self._known)
        request = request_of(Question(ids[:held], held, held, audit_only=True), at, self._known.hash)
        until = " until it answers again" if away.may_return else ""
        self._link.leave_off(f"{away.clause}: {then}{until}")
        return Absence(self._link, request, self._patience_with_absence(), away.may_return)

    def finish(self) -> None:
        """The text has come to its end: others may go on from it."""
        self._is_finished = True

    def close(self) -> None:
        """Nothing more is asked: the target may forget the text, unless it is kept. Never raises, never blocks."""
        if self._is_finished and len(self._known) and self._keep(self._known.ids):
            self._is_finished = False
            self._link.leave()
        else:
            self._link.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _align(self, shown: Sequence[int]) -> None:
        """Forget what was said about tokens that the text does not have; prompt tokens are never audited."""
        before = len(self._known)
        self._known.align(shown)
        if len(self._known) < before:
            self._audited = min(self._audited, max(len(self._known), self._prompt_length))
        self._audited = min(self._audited, len(shown))

    def _exchange(self, question: Question, patience: Patience, q: Sequence[Distribution] = ()) -> Verdict:
        """Ask until there is a verdict, in several requests if one cannot hold all tokens."""
        audit = Audit(question.audit_from)
        missed = False
        while True:
            position = len(self._known)
            part = part_of(replace(question, audit_from=max(question.audit_from, self._audited)), position, self._limit)
            last = len(part.ids) == len(question.ids)
            answer = self._link.ask(request_of(part, position, self._known.hash, q if last else ()), patience)
            match answer.WhichOneof("answer"):
                case "verdict":
                    verdict = self._read(answer.verdict, part)
                    audit.append(verdict.audit)
                    if last:
                        verdict.audit = audit
                        return verdict
                    missed = False
                    patience.renew()
                case "resync" | "stale" as kind:
                    # The first time the target may say what it has; a target in two minds gets everything.
                    held = answer.resync.held if kind == "resync" and not missed else 0
                    if held >= position:
                        raise nonsense(f"a wish for the tokens from {held} on, in answer to those from {position} on")
                    self._known.keep(held)
                    self.reused = min(self.reused, held)
                    missed = True
                case kind:
                    raise nonsense(f"{f'a {kind}' if kind else 'an empty answer'} where a verdict was due")

    def _ask_again(self, posted: Posted, patience: Patience) -> tuple[Question, Verdict] | None:
        """Ask the oldest question by itself; those behind it are given up, for nobody knows what became of them.

        None where it was a text that is to be read ahead: what is asked of it is then still to be asked.
        """
        if posted.is_ahead:
            self._posted = deque(replace(one, number=None) for one in self._posted if one is not posted)
            self._trouble = None
        else:
            self.drop()
        verdict = self._exchange(posted.question, patience, posted.q)
        self._answered = self._link.number
        self._read_at = perf_counter()
        return None if posted.is_ahead else (posted.question, verdict)

    def _read(self, message: wire.Verdict, question: Question) -> Verdict:
        """A verdict, of which all has been taken note."""
        verdict = self._reader.verdict(message, question)
        self._link.names_guesses |= message.names_guesses
        seconds = seconds_of(message.timing)
        # An answer that took the target no time was read by an earlier pass.
        self.meter.passed(seconds, is_step=self.meter.calls > 0 and seconds > 0)
        self.meter.calls += 1
        stands = question.ids[: question.judge_from + verdict.stands]
        self._learn(stands if verdict.own is None else [*stands, verdict.own.token])
        return verdict

    def _continuation(self, text: list[int], end: int, waits: Callable[[], bool]) -> Iterator[Own | None]:
        """The tokens that the target writes on, up to where it ends or the link breaks; `text` grows by them."""
        number, done = self._answered, False
        while not (done or len(text) == end or text[-1] in self._reader.end_ids):
            patience = self._patience(self._retry, True) if waits() else None
            try:
                answer = self._link.collect(number, patience)
            except PASSING as error:
                self._trouble = error
                return
            if answer is None:
                yield None
                continue
            if answer.WhichOneof("answer") == "resync":
                return
            if answer.WhichOneof("answer") != "continuation":
                raise nonsense("another kind of answer in the middle of a continuation")
            message = answer.continuation
            self.meter.passed(seconds_of(message.timing), is_step=bool(message.tokens))
            self.meter.calls += bool(message.tokens)
            done = message.done
            for own in list(self._reader.continuation(message, len(text), end - len(text))):
                text.append(own.token)
                self._learn(text)
                yield own

    def _learn(self, ids: Sequence[int]) -> None:
        """The target knows `ids` now, and has audited them or written them itself."""
        self._known.extend(ids[len(self._known) :])
        self._audited = max(self._audited, len(ids))
