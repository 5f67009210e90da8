"""What the finished verifier does on the report's documents, which nothing was fitted to or chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cloud_target.prepare.curves import reliability, roc, runs, trade
from cloud_target.prepare.heads import ExportedHead
from cloud_target.prepare.steered import Steps, steered
from cloud_target.training.doubts import compare, doubt_of, free_doubts, off_target
from cloud_target.training.evaluate import DevText, agreement_line
from cloud_target.training.label import Rows
from shared.calibration import DOUBT_COLUMNS, Calibration, Doubts
from shared.config import Criterion, Sampling
from shared.steering.usual import Usual

# Kinds of text, as the report calls them.
OWN_TEXT = "own text"
DOCUMENTS = "documents"
# Ways of doubting, as the report calls them.
HEAD = "our head"
RANDOM = "random"
ORACLE = "oracle"


def measure_own_text(
    rows: Rows,
    sampling: Sampling,
    head: ExportedHead,
    others: dict[str, ExportedHead],
    cells: Sequence[Calibration],
    spread: Sequence[Doubts],
) -> dict[str, Any]:
    """Everything about one way of sampling.

    Args:
        rows: of the target's own text, numbered text by text, one draw a token.
        sampling: of all the rows.
        head, others: the verifier, and what it is compared with.
        cells: the table from budget to threshold.
        spread: what doubts are like in calibrated text.

    Returns:
        `agreement`, `doubts` (see `doubts.compare`), `free doubts` (names of those that need no training), and one for
        each criterion `steered` (see `steered.steered`), `checks` and `curves`.
    """
    where = {"kind": OWN_TEXT, "temperature": sampling.temperature, "top_p": sampling.top_p, "tokens": len(rows)}
    free = free_doubts(rows)
    columns = {name: h.doubt(rows.features) for name, h in ({HEAD: head} | others).items()}
    steered_rates, checks, curves = [], [], []
    for criterion in DOUBT_COLUMNS:
        off = off_target(rows, criterion)
        doubt = doubt_of(criterion, columns[HEAD], rows)
        own = [cell for cell in cells if (cell.criterion, cell.temperature, cell.top_p) == (criterion, *_key(sampling))]
        scores = {name: doubt_of(criterion, doubts, rows) for name, doubts in columns.items()} | free
        scores[ORACLE] = off + 0.5 * free[RANDOM]
        label = where | {"criterion": str(criterion)}
        found = next(s for s in spread if (s.criterion, s.temperature, s.top_p) == (criterion, *_key(sampling)))
        usual = Usual(found.log_odds, found.errors)
        texts = _texts(rows, doubt, off)
        steered_rates.append(label | {"rates": [steered(texts, cell.budget, usual, cell.threshold) for cell in own]})
        checks.append(label | {"rates": [_check(cell, doubt, off) for cell in own]})
        curves.append(
            label
            | {
                "roc": {name: roc(score, off) for name, score in scores.items() if name != ORACLE},
                "trade": {name: trade(score, off) for name, score in scores.items()},
                "reliability": reliability(doubt, off),
                "runs": {f"{c.budget:g}": runs(doubt, rows.document, rows.position, c.threshold) for c in own},
            }
        )
    return {
        "agreement": agreement_line(DevText("report", OWN_TEXT, *_key(sampling)), rows),
        "doubts": where | compare(rows, head, others),
        "free doubts": [name for name in free if name != RANDOM],
        "steered": steered_rates,
        "checks": checks,
        "curves": curves,
    }


def measure_documents(
    rows: Rows, samplings: Sequence[Sampling], head: ExportedHead, others: dict[str, ExportedHead]
) -> dict[str, list[dict[str, Any]]]:
    """`agreement` and `doubts` on documents as they stand, one for each way in which they were labelled."""
    found: dict[str, list[dict[str, Any]]] = {"agreement": [], "doubts": []}
    for sampling in samplings:
        temperature, top_p = _key(sampling)
        chosen = rows.where((rows.temperature == np.float32(temperature)) & (rows.top_p == np.float32(top_p)))
        where = {"kind": DOCUMENTS, "temperature": temperature, "top_p": top_p, "tokens": len(chosen)}
        found["agreement"].append(agreement_line(DevText("report", DOCUMENTS, temperature, top_p), chosen))
        found["doubts"].append(where | compare(chosen, head, others))
    return found


def best_free(asks: dict[str, Sequence[float]], free: Sequence[str]) -> tuple[str, list[float]]:
    """Of the doubts that need no training, the one that asks least over all budgets, and its ask rates."""
    name = min(free, key=lambda name: sum(asks[name]))
    return name, list(asks[name])


def find(entries: Sequence[dict[str, Any]], sampling: Sampling, criterion: Criterion | None = None) -> dict[str, Any]:
    """The entry of a list of the report for this sampling, and criterion if given."""
    for entry in entries:
        if (entry["temperature"], entry["top_p"]) == _key(sampling) and criterion in (None, entry.get("criterion")):
            return entry
    raise KeyError(sampling, criterion)


def _texts(rows: Rows, doubt: np.ndarray, off: np.ndarray) -> list[Steps]:
    """The rows text by text, each in order."""
    order = np.lexsort((rows.position, rows.document))
    parts = np.split(order, np.flatnonzero(np.diff(rows.document[order])) + 1)
    return [Steps(doubt[part].tolist(), off[part].tolist(), rows.off_strict[part].tolist()) for part in parts]


def _check(cell: Calibration, doubt: np.ndarray, off: np.ndarray) -> dict[str, float]:
    """What a threshold does to documents that it was not chosen on."""
    asks = doubt > cell.threshold
    rates = {"divergence": float((off & ~asks).mean()), "ask_rate": float(asks.mean())}
    return {"budget": cell.budget, "threshold": cell.threshold} | rates


def _key(sampling: Sampling) -> tuple[float, float]:
    return sampling.temperature, sampling.top_p
