"""How one text compares with another, and with itself: measures on token ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def common_subsequence(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common subsequence."""
    other = np.asarray(b, np.int64)
    # best[j]: of the part of `a` read so far and b[:j].
    best = np.zeros(len(other) + 1, np.int64)
    for token in a:
        taken = np.maximum(best[1:], best[:-1] + (other == token))
        np.maximum.accumulate(taken, out=best[1:])
    return int(best[-1])


def rouge_l(text: Sequence[int], reference: Sequence[int]) -> float:
    """ROUGE-L F1 (Lin 2004): 1 for the same text, 0 for no token in common; two empty texts are the same."""
    if not len(text) and not len(reference):
        return 1.0
    return 2 * common_subsequence(text, reference) / (len(text) + len(reference))


def repetition(text: Sequence[int], n: int = 4) -> float | None:
    """Share of the n-grams that occurred before in the same text; None if it has none."""
    distinct = distinctness(text, n)
    return None if distinct is None else 1.0 - distinct


def distinctness(text: Sequence[int], n: int = 2) -> float | None:
    """Different n-grams over all n-grams (distinct-n, Li et al. 2016); None if there are none."""
    grams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None
