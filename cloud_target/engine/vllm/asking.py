"""A text is asked about at the start, to see that the answers are those that they should be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from queue import SimpleQueue

import numpy as np

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.vllm.engine import VllmEngine
from shared.config import Sampling
from shared.errors import InputError, TargetError, first_line

# Tokens of the text.
_LENGTH = 48
_PATIENCE = 600.0
# How far two answers about one text may be apart by rounding, nats.
NEAR = 0.05


def text_of(engine: VllmEngine) -> tuple[int, ...]:
    """The ids of the text."""
    most = engine.description.vocabulary - 1
    return tuple(1 + i * i % most for i in range(min(_LENGTH, engine.context)))


def probe(engine: VllmEngine) -> float:
    """See that the answers are ours: scored at once, in two parts, and after another end.

    Returns:
        What a pass over one token takes, seconds.

    Raises:
        InputError: they are not.
    """
    ids = text_of(engine)
    count, half = len(ids), len(ids) // 2
    sampling = Sampling(1.0, 0, 0.95, 7)
    [whole] = ask(engine, [Feed(0, 0, ids, 0, sampling)])
    other = (ids[half] + 1) % engine.description.vocabulary
    ask(engine, [Feed(0, half, (other,), 0, sampling)])
    [rest] = ask(engine, [Feed(0, half, ids[half:], 0, sampling)])
    # A near tie may fall either way, for passes of another shape round otherwise.
    same = np.mean(whole.own[half:] == rest.own)
    near = np.abs(whole.given.nll[half:] - rest.given.nll).max(initial=0.0)
    steps = []
    for _ in range(3):
        begun = time.perf_counter()
        [again] = ask(engine, [Feed(0, count - 1, ids[-1:], 0, sampling)])
        steps.append(time.perf_counter() - begun)
    engine.trim(0)
    if not (same >= 0.9 and near < NEAR and abs(again.own_nll[0] - whole.own_nll[-1]) < NEAR):
        raise InputError(
            "this vLLM scores a text otherwise when it is read in parts, so its answers cannot be relied on; "
            "use a version that is known to work, or --engine hf"
        )
    return min(steps)


def ask(engine: VllmEngine, feeds: Sequence[Feed]) -> list[Scores]:
    """The scores of feeds that are begun at once.

    Raises:
        InputError: vLLM ended, or its answer is none.
    """
    answers: SimpleQueue[tuple[int, Scores | Exception]] = SimpleQueue()

    def done(index: int, found: Scores | Exception) -> None:
        answers.put((index, found))

    for index, feed in enumerate(feeds):
        engine.start(feed, "", partial(done, index))
    found = dict(answers.get(timeout=_PATIENCE) for _ in feeds)
    if not engine.is_there:
        raise InputError("vLLM ended at its first text; its lines above say why")
    scores = []
    for index in range(len(feeds)):
        answer = found[index]
        if isinstance(answer, TargetError):  # which speaks of the model, or of what was put upon it
            adapter = feeds[index].adapter
            raise InputError(f"with the adapter {adapter}, {answer}" if adapter else str(answer))
        if isinstance(answer, Exception):
            raise InputError(
                f"this vLLM does not answer as Tandem's plug-in does ({first_line(answer)}); use a version that is "
                "known to work, or --engine hf"
            )
        scores.append(answer)
    return scores
