"""What the charts show, as a few numbers each, so that the report stays small and can be drawn again from its JSON."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_POINTS = 60
_BINS = 12
_Z = 1.645  # 90 % of a normal distribution
# Runs are counted in classes that double: 0, 1, 2-3, 4-7, ... accepted tokens.
RUN_EDGES = (0, 1, 2, 4, 8, 16, 32, 64, 128)


def roc(doubt: np.ndarray, off: np.ndarray) -> dict[str, object]:
    """Share of the off-target tokens asked, against share of the others asked, at falling thresholds.

    Args:
        doubt: higher is more doubtful, ``[N]``.
        off: errors, ``bool [N]``.

    Returns:
        `false` and `true`, some points of the curve from (0, 0) to (1, 1), and `auc`, the area under all of it; None
        where there are no errors, or nothing else.
    """
    errors, others = _asked(doubt, off), _asked(doubt, ~off)
    if not errors[-1] or not others[-1]:
        return {"false": [], "true": [], "auc": None}
    false, true = others / others[-1], errors / errors[-1]
    chosen = _thin(false)
    return {"false": _rounded(false[chosen]), "true": _rounded(true[chosen]), "auc": round(_area(false, true), 4)}


def trade(doubt: np.ndarray, off: np.ndarray) -> dict[str, list[float]]:
    """Divergence rate against ask rate: `ask` and `divergence`, some points from asking nothing to everything."""
    errors, total = _asked(doubt, off), _asked(doubt, np.ones_like(off))
    ask, divergence = total / len(off), (errors[-1] - errors) / len(off)
    chosen = _thin(ask)
    return {"ask": _rounded(ask[chosen]), "divergence": _rounded(divergence[chosen])}


def reliability(doubt: np.ndarray, off: np.ndarray) -> list[dict[str, float]]:
    """Does doubt p mean that a share p is off-target? Groups of like doubt, equally large.

    Returns:
        For each group its mean `doubt`, the `rate` of errors, `low` and `high` of the rate's 90 % interval (Wilson),
        and how many `tokens` it has.
    """
    found = []
    for group in np.array_split(np.argsort(doubt, kind="stable"), _BINS):
        if len(group):
            rate, count = float(off[group].mean()), len(group)
            middle = (rate + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
            half = _Z / (1 + _Z**2 / count) * np.sqrt(rate * (1 - rate) / count + _Z**2 / (4 * count**2))
            numbers = {"doubt": float(doubt[group].mean()), "rate": rate}
            numbers |= {"low": max(middle - half, 0.0), "high": min(middle + half, 1.0)}
            found.append({name: _significant(value) for name, value in numbers.items()} | {"tokens": count})
    return found


def runs(doubt: np.ndarray, text: np.ndarray, position: np.ndarray, threshold: float) -> dict[str, object]:
    """How many tokens are accepted before each ask, text by text.

    Args:
        doubt, text, position: of the rows, ``[N]``; each position of a text once.
        threshold: asks where the doubt is above it.

    Returns:
        `shares` of the runs in the classes that begin at `RUN_EDGES`, `asks` how many runs there are, `median` of their
        lengths (None without an ask), and `open` how many texts end in a run that no ask has ended, which is not
        counted.
    """
    order = np.lexsort((position, text))
    texts, asks = text[order], doubt[order] > threshold
    lengths, unfinished = [], 0
    for one in np.split(asks, np.flatnonzero(np.diff(texts)) + 1):
        places = np.flatnonzero(one)
        lengths.append(np.diff(places, prepend=-1) - 1)
        unfinished += int(not one[-1])
    found = np.concatenate(lengths)
    counts = np.histogram(found, [*RUN_EDGES, np.inf])[0]
    return {
        "shares": _rounded(counts / max(1, len(found))),
        "asks": len(found),
        "median": float(np.median(found)) if len(found) else None,
        "open": unfinished,
    }


def _asked(doubt: np.ndarray, which: np.ndarray) -> np.ndarray:
    """How many of `which` are asked at each distinct threshold, the highest first; begins with 0."""
    order = np.argsort(-doubt, kind="stable")
    last = np.append(np.diff(doubt[order]) != 0, True)  # of tokens with equal doubt: they are asked together
    return np.concatenate(([0], which[order].cumsum()[last]))


def _area(x: np.ndarray, y: np.ndarray) -> float:
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def _thin(x: np.ndarray) -> np.ndarray:
    """Indices of some points, denser where `x` (ascending from 0 to 1) is small, with both ends."""
    wanted = np.concatenate((np.linspace(0, 0.1, _POINTS // 3), np.linspace(0.1, 1, 2 * _POINTS // 3)))
    return np.unique(np.concatenate(([0], np.searchsorted(x, wanted).clip(0, len(x) - 1), [len(x) - 1])))


def _rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]


def _significant(value: float) -> float:
    return float(f"{value:.4g}")
