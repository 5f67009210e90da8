"""How often the target disagrees with itself: the same texts, read token by token and in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.passes import Text
from cloud_target.engine.scoring.score import Row, score
from shared.config import Criterion, Sampling
from shared.criteria import off_target
from shared.repetition import repeats
from shared.rounding import Disagreement

# Tokens of a pass: what `cloud` writes comes one by one, what is asked or audited several at once.
ONE, SEVERAL = 1, 9
# Own tokens that are drawn at a position, each with other noise; at temperature 0 there is none.
_DRAWS = 4
_SLOT = 0


def disagreement(
    engine: TargetEngine,
    texts: Sequence[tuple[list[int], int]],
    sampling: Sampling,
    tell: Callable[[int], None] = lambda _: None,
) -> Disagreement:
    """Measured at every position of some texts from where each begins on.

    Args:
        engine: of which no slot is in use.
        texts: ids, and the first position that is compared, 1 at least and before the end.
        sampling: how own tokens are drawn; its seed is replaced.
        tell: is told how many positions are done, text by text.
    """
    drawn = strict = typical = done = 0
    for number, (ids, first) in enumerate(texts):
        one, several = (_logits(engine, ids, first, size) for size in (ONE, SEVERAL))
        for draw in range(_DRAWS if sampling.temperature else 1):
            seeded = replace(sampling, seed=number * _DRAWS + draw)
            rows = [Row(position, seeded) for position in range(first, len(ids))]
            own = score(one, rows).own.tolist()
            found = score(several, [replace(row, given=token) for row, token in zip(rows, own, strict=True)])
            repeating = np.array([repeats(ids, token, row.position) for row, token in zip(rows, own, strict=True)])
            drawn += len(rows)
            strict += int(found.off_strict.sum())
            typical += int(off_target(Criterion.TYPICAL, found.off_strict, found.unlikely, repeating).sum())
        done += len(ids) - first
        tell(done)
    return Disagreement(sampling.temperature, sampling.top_p, strict / drawn, typical / drawn, drawn)


def _logits(engine: TargetEngine, ids: list[int], first: int, size: int) -> torch.Tensor:
    """What the target says of each position from `first` on, with the tokens from before it on in parts of `size`,
    ``float32 [len(ids) - first, vocabulary]``."""
    begins = [*([0] if first > 1 else []), *range(first - 1, len(ids) - 1, size)]
    found = []
    try:
        for begin, end in pairwise((*begins, len(ids) - 1)):
            logits = engine.passes.run([Text(_SLOT, begin, ids[begin:end])], [end - begin])
            if begin >= first - 1:
                found.append(logits)
    finally:
        engine.trim(_SLOT)
    return torch.cat(found)
