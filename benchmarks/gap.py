"""How far apart two writers are by the likelihood of their texts, and how much of that a third one closes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.verdicts import Rate

# A gap that is not this many of its standard errors wide cannot be divided into shares.
CLEAR = 2.0


def gap(nll: Sequence[Sequence[float]], known: Sequence[Sequence[int]]) -> Rate | None:
    """How much more negative log-likelihood the first writer's tokens have than the second's, nats a token.

    Args:
        nll: summed over each text, nats, ``[writers, texts]``; text i of each writer is to the same prompt and seed.
        known: the tokens that each sum is over, ``[writers, texts]``.

    Returns:
        With its standard error over the texts; None with fewer than two texts.
    """
    return _jackknife(nll, known, lambda rates: rates[0] - rates[1])


def closed(nll: Sequence[Sequence[float]], known: Sequence[Sequence[int]]) -> Rate | None:
    """The share of the gap between two writers that a third one closes: 0 is the first writer, 1 the second.

    Args:
        nll, known: of the first, the second and the third writer, as in `gap`.

    Returns:
        With its standard error over the texts; None where there is no clear gap.
    """
    whole = gap(nll, known)
    if whole is None or abs(whole.value) <= CLEAR * whole.error:
        return None
    return _jackknife(nll, known, lambda rates: (rates[0] - rates[2]) / (rates[0] - rates[1]))


def further(nll: Sequence[Sequence[float]], known: Sequence[Sequence[int]]) -> Rate | None:
    """How much further a second writer is from a third than a first one is, nats a token; below 0 it is nearer.

    Args:
        nll, known: of the first, the second and the third writer, as in `gap`.

    Returns:
        With its standard error over the texts; None with fewer than two texts.
    """
    return _jackknife(nll, known, lambda rates: abs(rates[1] - rates[2]) - abs(rates[0] - rates[2]))


def _jackknife(nll, known, figure: Callable[[np.ndarray], np.ndarray]) -> Rate | None:
    """A figure of the writers' rates ``[writers, ...]``; its error from leaving out one text of each at a time."""
    nll, known = np.asarray(nll, np.float64), np.asarray(known, np.float64)
    texts = nll.shape[1]
    rest = known.sum(1, keepdims=True) - known
    if texts < 2 or not rest.all():
        return None
    value = float(figure(nll.sum(1) / known.sum(1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        left_out = figure((nll.sum(1, keepdims=True) - nll) / rest)
    error = math.sqrt((texts - 1) * float(left_out.var()))
    return Rate(value + 0.0, error) if math.isfinite(error) else None
