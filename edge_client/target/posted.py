"""What is under way between one text and the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_client.target.known_prefix import Known
from edge_client.target.verdict import Question
from shared import prefix_hash
from shared.errors import InputError
from shared.wire import codec
from shared.wire.guesses import TEXT, GuessTree, encode_guesses
from shared.wire.v1 import target_pb2 as wire

# Token ids and their probabilities, as the residual coupling needs them of the draft.
Distribution = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Posted:
    """A question under way.

    Attributes:
        number: of its request; None if it was not sent.
        position, hash: of the text that it builds on: it is answered where the target then knows just that.
        is_wanted: whether anybody still wants to know.
        time: when it was asked, seconds.
        is_ahead: nobody waits for the answer itself: the text is sent to be read before anything is asked of it.
    """

    number: int | None
    question: Question
    position: int
    hash: int
    q: Sequence[Distribution]
    is_wanted: Callable[[], bool]
    time: float
    is_ahead: bool = False


def part_of(question: Question, position: int, limit: int) -> Question:
    """The question itself, or, if it is too long, as many of its first tokens from `position` on as a request holds.

    Raises:
        InputError: what is judged fits into none.
    """
    if len(question.ids) - position <= limit:
        return question
    end = min(position + limit, question.judge_from)
    if end == position:
        sentence = f"the target judges at most {limit} tokens a request; use a smaller window"
        raise InputError(sentence, options=("window",))
    return Question(question.ids[:end], min(question.audit_from, end), end, audit_only=True)


def request_of(question: Question, position: int, hash_: int, q: Sequence[Distribution] = ()) -> wire.DecodeRequest:
    """The request that asks a question of a target which holds the text up to `position`."""
    return wire.DecodeRequest(
        position=position,
        prefix_hash=hash_,
        tokens=question.ids[position:],
        audit_from=question.audit_from - position,
        judge_from=question.judge_from - position,
        write_on=question.write_on,
        audit_only=question.audit_only,
        q=[codec.encode_distribution(*distribution) for distribution in q],
    )


def guesses_of(
    known: Known, before: Sequence[int], tokens: Sequence[int], parents: Sequence[int], odds: Sequence[float]
) -> wire.DecodeRequest:
    """The request with guesses for a target that knows so much, see `TargetSession.guess`."""
    position, hash_ = 0, 0
    if TEXT in parents:
        position, hash_ = len(known) + len(before), prefix_hash.extend(known.hash, before)
    return wire.DecodeRequest(guesses=encode_guesses(GuessTree(position, hash_, tokens, parents, len(known), odds)))


def seconds_of(timing: wire.Timing) -> float:
    """That the target queued and computed."""
    return (timing.queue_us + timing.forward_us) / 1e6
