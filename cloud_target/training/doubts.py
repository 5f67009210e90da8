"""Every way of doubting a token that we compare: our heads, the paper's, and scalars that cost nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cloud_target.training.label import Rows
from cloud_target.training.verifier import Doubter, FitSettings, Head, fit
from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion
from shared.criteria import doubt_columns
from shared.features import NAMES, SCALARS

BUDGETS = (0.01, 0.02, 0.05, 0.10)
# Doubts that need no training: a feature, and whether the doubt grows with it or against it.
FREE = {
    "log q(x)": ("log_q", -1),
    "log-probability of x": ("log_probability", -1),
    "noisy margin": ("noisy_margin", -1),
    "largest probability": ("largest_0", -1),
    "entropy": ("entropy", 1),
}


def free_doubts(rows: Rows, seed: int = 0) -> dict[str, np.ndarray]:
    """Scores without training, higher is more doubtful, ``[N]`` each; those of `FREE`, and one by chance."""
    scores = {name: sign * rows.features[:, NAMES.index(feature)] for name, (feature, sign) in FREE.items()}
    return scores | {"random": np.random.default_rng(seed).random(len(rows))}


def fit_comparison_heads(rows: Rows, seed: int = 0) -> dict[str, Head]:
    """The heads that ours must beat: the paper's (linear, blind to the drawn token), and a linear one that sees all."""
    features = rows.features.shape[1]
    settings = FitSettings(units=0, seed=seed)
    return {
        "the paper's head": fit(rows, settings, visible=np.arange(features) >= SCALARS)[0],
        "linear, all inputs": fit(rows, settings)[0],
    }


def off_target(rows: Rows, criterion: Criterion) -> np.ndarray:
    """Which rows are errors by the criterion, ``bool [N]``."""
    return rows.off_typical if criterion is Criterion.TYPICAL else rows.off_strict


def doubt_of(criterion: Criterion, doubt: np.ndarray, rows: Rows) -> np.ndarray:
    """The doubt by which a device asks, ``[N]``, of what a head gives for each criterion, ``[N, 2]``."""
    columns = np.array(doubt_columns(criterion))[rows.repeating.astype(int)]
    return doubt[np.arange(len(rows)), columns]


def ask_rate(doubt: np.ndarray, off: np.ndarray, budget: float) -> float:
    """The smallest share of tokens to ask about so that accepted errors are at most `budget` of all tokens.

    The most doubtful are asked first; tokens of equal doubt are asked together, as a threshold does.
    """
    order = np.argsort(doubt, kind="stable")
    kept_errors = off[order].cumsum()
    edge = np.append(np.diff(doubt[order]) > 0, True)
    allowed = np.flatnonzero(edge & (kept_errors <= budget * len(off)))
    return 1.0 - (allowed[-1] + 1) / len(off) if len(allowed) else 1.0


def compare(rows: Rows, head: Doubter, others: Mapping[str, Doubter], budgets: tuple[float, ...] = BUDGETS) -> dict:
    """Ask rates of every doubt by both criteria: ``{criterion: {"never": rate, "asks": {name: [per budget]}}}``."""
    free = free_doubts(rows)
    trained = {name: other.doubt(rows.features) for name, other in {**others, "our head": head}.items()}
    report = {}
    for criterion in DOUBT_COLUMNS:
        off = off_target(rows, criterion)
        scores = (
            free
            | {name: doubt_of(criterion, doubt, rows) for name, doubt in trained.items()}
            | {"oracle": off + 0.5 * free["random"]}
        )
        asks = {name: [round(float(ask_rate(score, off, b)), 4) for b in budgets] for name, score in scores.items()}
        report[str(criterion)] = {"never asking": round(float(off.mean()), 4), "budgets": list(budgets), "asks": asks}
    return report
