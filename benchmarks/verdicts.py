"""Whether a budget was kept: rates with their sampling errors, and what they say about the promise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.modes import Run, counted
from shared.config import Criterion

# By its 300th token a device must have found its threshold, whatever it began with.
SETTLED = 300
# A rate below this share of the budget, though asking was not free, is caution that nobody ordered.
CAUTIOUS = 0.75
FREE = 0.005


class Verdict(StrEnum):
    """What a cell of the table says about the promise."""

    KEPT = "kept"
    NEEDLESS = "needless"  # kept, but at the price of asks that the budget did not call for
    BROKEN = "broken"


@dataclass(frozen=True)
class Rate:
    """A share of tokens, measured over whole texts.

    Attributes:
        value: all errors over all tokens, so that a long text counts for more.
        error: its standard error if other texts had been drawn.
    """

    value: float
    error: float


def rate(counts: Sequence[int], totals: Sequence[int]) -> Rate | None:
    """The rate of `counts` in `totals`, one of each a text; None without tokens.

    The error is that of a ratio of two means (the texts' residuals, linearised), sd / sqrt(n) where all are as long.
    One text has no spread; its error is as if each token strayed by itself.
    """
    total, texts = sum(totals), len(totals)
    if not total:
        return None
    value = sum(counts) / total
    if texts < 2:
        return Rate(value, math.sqrt(value / total))
    squares = sum((count - value * length) ** 2 for count, length in zip(counts, totals, strict=True))
    return Rate(value, math.sqrt(squares * texts / (texts - 1)) / total)


def settled(runs: Sequence[Run]) -> Sequence[Run]:
    """The texts that begin at the `SETTLED`-th token or after it, of texts written one after the other."""
    written = 0
    for number, run in enumerate(runs):
        if written >= SETTLED:
            return runs[number:]
        written += run.counts.shown
    return []


def worst(runs: Sequence[Run], criterion: Criterion, tokens: int = 1000) -> int | None:
    """The most errors in texts in a row that together have so many audited tokens, or as few more as texts allow.

    None where there are not so many tokens.
    """
    found, first, known, errors = [], 0, 0, 0
    for run in runs:
        known, errors = known + run.counts.known, errors + run.counts.off(criterion)
        while known - runs[first].counts.known >= tokens:
            known, errors = known - runs[first].counts.known, errors - runs[first].counts.off(criterion)
            first += 1
        if known >= tokens:
            found.append(errors)
    return max(found, default=None)


def calls_per_token(runs: Sequence[Run]) -> float:
    """Calls to the target per token shown; 0 without tokens."""
    shown = counted(runs).shown
    return sum(run.summary.calls for run in runs) / shown if shown else 0.0


def judge(divergence: Rate | None, budget: float, never: float, ask_rate: float) -> Verdict:
    """The verdict on a rate of divergence.

    Args:
        never: what the divergence would be without asking.
        ask_rate: share of the tokens that were asked.
    """
    if divergence is None or divergence.value > budget + divergence.error:
        return Verdict.BROKEN
    if divergence.value < CAUTIOUS * budget and never > budget and ask_rate > FREE:
        return Verdict.NEEDLESS
    return Verdict.KEPT
