"""One generation's conversation with the target: what it knows, and what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from edge_client.target.known_prefix import Known
from edge_client.target.reliable_link import ReliableLink
from edge_client.target.retry import Patience, Retry
from edge_client.target.verdict import Audit, Own, Question, Reader, Verdict, nonsense
from edge_client.usage.meter import Meter
from shared.errors import InputError, TargetError
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire

Distribution = tuple[np.ndarray, np.ndarray]


class TargetSession:
    """Asks the target about one text. Evictions, restarts and broken links are mended here, unseen.

    The session remembers what the target knows and what is audited, so that only new tokens travel and no position
    is audited twice. Every method takes the whole text, which may only grow, but for tokens that were not shown.

    Args:
        make_link: makes the way to the target, which counts in the meter that it is given.
        patience: makes the patience for one call, and whether somebody waits for it.
        limit: most tokens in one request.

    Attributes:
        meter: what the conversation has taken so far.
    """

    def __init__(
        self,
        make_link: Callable[[Meter], ReliableLink],
        reader: Reader,
        limit: int,
        prompt_length: int,
        retry: Retry,
        patience: Callable[[Retry, bool], Patience],
    ) -> None:
        self.meter = Meter()
        self._link = make_link(self.meter)
        self._reader = reader
        self._limit = limit
        self._retry = retry
        self._patience = patience
        self._known = Known()
        self._prompt_length = self._audited = prompt_length

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
        self._align(ids[:judge_from])
        return self._exchange(Question(ids, self._audited, judge_from), self._patience(self._retry, True), q)

    def write_on(self, ids: Sequence[int], count: int) -> Iterator[Own]:
        """Let the target write at most `count` tokens after `ids`, until the text or the context ends.

        Tokens of `ids` that are not audited yet stay so. The iterator may be dropped at any time.

        Yields:
            Each token as it arrives.

        Raises:
            As `judge` does.
        """
        text = list(ids)
        end = len(text) + count
        patience = self._patience(self._retry, True)
        while len(text) < end:
            self._align(text)
            self._audited = len(text)
            question = Question(text, len(text), len(text), write_on=end - len(text) - 1)
            verdict = self._exchange(question, patience)
            if verdict.own is None:
                return
            text.append(verdict.own.token)
            yield verdict.own
            for own in self._continuation(text, end, patience):
                text.append(own.token)
                self._learn(text)
                self.meter.calls += 1
                yield own
            if text[-1] in self._reader.end_ids:
                return

    def audit(self, ids: Sequence[int], wait: float) -> Audit | None:
        """Have the tail of `ids` audited, waiting for at most `wait` seconds.

        Returns:
            None if there is nothing to audit, or no answer in time.

        Raises:
            ProtocolError: the target answers nonsense.
        """
        self._align(ids)
        if len(ids) == self._audited:
            return None
        question = Question(ids, self._audited, len(ids), audit_only=True)
        try:
            # Nobody waits: the text is on the screen.
            patience = self._patience(replace(self._retry, attempt=wait, total=wait), False)
            return self._exchange(question, patience).audit
        except TargetError:
            return None

    def close(self) -> None:
        """The text is written, the target may forget it. Never raises, never blocks; twice is once."""
        self._link.close()

    def __enter__(self) -> TargetSession:
        return self

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
            part = self._part(question, position)
            last = len(part.ids) == len(question.ids)
            answer = self._link.ask(self._request(part, position, q if last else ()), patience)
            match answer.WhichOneof("answer"):
                case "verdict":
                    verdict = self._reader.verdict(answer.verdict, part)
                    self.meter.calls += 1
                    self._note(answer.verdict.timing)
                    stands = part.ids[: part.judge_from + verdict.stands]
                    self._learn(stands if verdict.own is None else [*stands, verdict.own.token])
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
                    missed = True
                case kind:
                    raise nonsense(f"{f'a {kind}' if kind else 'an empty answer'} where a verdict was due")

    def _part(self, question: Question, position: int) -> Question:
        """The question itself, or, if it is too long, as many of its first tokens as one request holds."""
        audit_from = max(question.audit_from, self._audited)
        if len(question.ids) - position <= self._limit:
            return replace(question, audit_from=audit_from)
        end = min(position + self._limit, question.judge_from)
        if end == position:
            sentence = f"the target judges at most {self._limit} tokens a request; use a smaller window"
            raise InputError(sentence, options=("window",))
        return Question(question.ids[:end], min(audit_from, end), end, audit_only=True)

    def _request(self, question: Question, position: int, q: Sequence[Distribution]) -> wire.DecodeRequest:
        return wire.DecodeRequest(
            position=position,
            prefix_hash=self._known.hash,
            tokens=question.ids[position:],
            audit_from=question.audit_from - position,
            judge_from=question.judge_from - position,
            write_on=question.write_on,
            audit_only=question.audit_only,
            q=[codec.encode_distribution(*distribution) for distribution in q],
        )

    def _continuation(self, text: Sequence[int], end: int, patience: Patience) -> Iterator[Own]:
        """The tokens that the target writes on, up to where it ends or the link breaks; `text` grows meanwhile."""
        done = False
        while not (done or len(text) == end or text[-1] in self._reader.end_ids):
            patience.renew()
            answer = self._link.more(patience)
            if answer is None or answer.WhichOneof("answer") == "resync":
                return
            if answer.WhichOneof("answer") != "continuation":
                raise nonsense("another kind of answer in the middle of a continuation")
            message = answer.continuation
            tokens = self._reader.continuation(message, len(text), end - len(text))
            self._note(message.timing)
            done = message.done
            yield from tokens

    def _learn(self, ids: Sequence[int]) -> None:
        """The target knows `ids` now, and has audited them or written them itself."""
        self._known.extend(ids[len(self._known) :])
        self._audited = max(self._audited, len(ids))

    def _note(self, timing: wire.Timing) -> None:
        self.meter.target_seconds += (timing.queue_us + timing.forward_us) / 1e6
