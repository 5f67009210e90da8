"""How near texts are to what the target itself would have written in their place, and which steps lead away from it.

Likelihood alone can fool: of a writer that is surer than the target every token is likely, and the text is not the
target's all the same. Regret, and tokens off-target, are 0 for the target's own text only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.gap import CLEAR, further
from benchmarks.modes import Run
from cloud_target.engine.interface import Engine, Feed, all_scores
from shared.config import Sampling


@dataclass(frozen=True)
class Written(Run):
    """A run, and how far it lies from what the target would have written in its place.

    Attributes:
        regret: of its tokens, summed, nats; see `regret`.
    """

    regret: float = 0.0


def regret(engine: Engine, prompt: Sequence[int], written: Sequence[int], sampling: Sampling) -> float:
    """The sum of abs(ln p1(y) - ln p1(x)) over a text, nats; 0 where x = y.

    Args:
        engine: the target; its slot 0 is used.
        prompt, written: token ids; each x is one of the second.
        sampling: how y, the target's own token after all that stands before x, is drawn.
    """
    if not written:
        return 0.0
    (scores,) = all_scores(engine.forward([Feed(0, 0, (*prompt, *written), len(prompt) - 1, sampling)]))
    engine.trim(0)
    differences = np.abs(scores.own_nll[:-1] - scores.given.nll)
    return float(differences[scores.given.off_strict].sum())


def same(written: Sequence[int], own: Sequence[int]) -> int:
    """How many tokens of a text are, at their very place, those that the target wrote by itself."""
    return sum(x == y for x, y in zip(written, own, strict=False))


def scores(*writers: Sequence[Run]) -> tuple[list[list[float]], list[list[int]]]:
    """Summed likelihoods, nats, and the tokens they are over, ``[writers, texts]`` both, as `benchmarks.gap` wants."""
    counts = [[run.counts for run in runs] for runs in writers]
    return [[one.nll for one in row] for row in counts], [[one.known for one in row] for row in counts]


def steps_away(rows: Sequence[tuple[str, Sequence[Written]]]) -> Iterator[str]:
    """The steps from each writer to the next that lead away from the last one's text by more than two standard errors.

    Args:
        rows: writers by name, from the freest to the target itself; text i of each is to the same prompt and seed.

    Yields:
        What by: the likelihood of the texts, their regret, or their strict divergence, a token each.
    """
    own = rows[-1][1]
    for (one, freer), (other, bound) in pairwise(rows):
        nll, known = scores(freer, bound, own)
        regrets = [[run.regret for run in runs] for runs in (freer, bound, own)]
        strict = [[float(run.counts.off_strict) for run in runs] for runs in (freer, bound, own)]
        for measure, sums in (("nll", nll), ("regret", regrets), ("strict", strict)):
            step = further(sums, known)
            if step is not None and step.value > CLEAR * step.error:
                yield f"{measure} from {one} to {other}: {step.value:+.3f} ± {step.error:.3f}"
