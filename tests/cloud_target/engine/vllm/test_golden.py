"""Answers as numbers, which no engine may ever change: own tokens under the noise, and how likely tokens are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine
from shared.config import Sampling
from tests.cloud_target.engine.vllm.runner import FirstRunner, SecondRunner, outputs, scores

__all__ = ["outputs"]
VOCABULARY = 50
TEXT = (3, 1, 4, 1, 5, 9, 2, 6)
# Of the rows from the third on: sampling, the own token, -ln p1 of it, and whether the given one is another.
GOLDEN = [
    (Sampling(0.0), [27, 29, 49, 38, 25, 6], [2.3593, 2.2979, 2.9111, 2.3547, 2.464, 2.3942], [1, 1, 1, 1, 1]),
    (
        Sampling(0.7, 0, 0.9, 1),
        [20, 48, 29, 5, 23, 6],
        [3.0918, 2.4405, 3.995, 3.0977, 2.7071, 2.3942],
        [1, 1, 1, 1, 1],
    ),
    (
        Sampling(1.0, 0, 1.0, 2**64 - 1),
        [27, 10, 41, 30, 14, 47],
        [2.3593, 2.472, 3.3759, 3.3739, 5.6391, 9.1425],
        [1, 1, 1, 1, 1],
    ),
    (
        Sampling(1.3, 7, 0.8, 12345),
        [40, 10, 48, 2, 27, 6],
        [2.4378, 2.472, 2.9711, 2.3759, 2.6189, 2.3942],
        [1, 1, 1, 0, 1],
    ),
]
UNLIKELY, NLL = [0, 1, 0, 0, 0], [2.7501, 5.4717, 4.7587, 2.3759, 2.4801]


def waves(text: Sequence[int]) -> np.ndarray:
    return (4 * np.sin(np.arange(VOCABULARY) * (1.3 + text[-1]) + len(text))).astype(np.float32)


def by_the_rules(feed: Feed) -> Scores:
    [found] = ScriptedEngine(waves, VOCABULARY, 2, 64).forward([feed])
    assert isinstance(found, Scores)
    return found


def by(runner_of: type[FirstRunner] | type[SecondRunner], feed: Feed) -> Scores:
    runner = runner_of(waves, VOCABULARY)
    runner.ask("a", TEXT, feed)
    return scores(feed, runner.step({"a": len(TEXT)})["a"])


@pytest.mark.parametrize("engine", [by_the_rules, partial(by, FirstRunner), partial(by, SecondRunner)])
@pytest.mark.parametrize(("sampling", "own", "own_nll", "off"), GOLDEN)
def test_answers_are_these(engine, sampling, own, own_nll, off, outputs):
    found = engine(Feed(0, 0, TEXT, 2, sampling))
    assert found.own.tolist() == own
    assert np.allclose(found.own_nll, own_nll, atol=1e-3)
    assert found.given.off_strict.astype(int).tolist() == off
    assert found.given.unlikely.astype(int).tolist() == UNLIKELY
    assert np.allclose(found.given.nll, NLL, atol=1e-3)
