"""Does a better head pay? Heads of other sizes, inputs and labels, on the rows that `cloud-target prepare` kept.

    python -m benchmarks.heads bundle.work
    python -m benchmarks.heads bundle.work --rows 200000 --only "64 units" "the paper's head"

Every head is fitted on the training rows and judged on the report's, which share no document with them: documents as
they stand, and the target's own text.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.local_target import run_main
from benchmarks.tables import markdown_table, percent, provenance
from cloud_target.options.values import count
from cloud_target.prepare.labels import read_rows
from cloud_target.training.doubts import BUDGETS, ask_rate, doubt_of, free_doubts, off_target
from cloud_target.training.label import Rows
from cloud_target.training.verifier import FitSettings, fit
from cloud_target.training.work import Stage
from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion
from shared.errors import InputError
from shared.features import NAMES, SCALARS
from shared.paths import typed_path

ASK_RATES = (0.04, 0.08, 0.18, 0.29)
# An audit is known when the next call has come back: tokens before it, some ten positions ago on average.
_DELAY, _AUDITS = 10, 8
_MOST_REGRET = 4.0  # nats
_RIVAL = ("rival_gap", "rival_log_probability")
LEGEND = """\
fewer asks: than the best free baseline of each cell, chosen with hindsight, at equal divergence, over all cells
(temperature, criterion, budget of 1, 2, 5 and 10 %) in which never asking diverges more than the budget: mean, and
worst cell; gap: the drawn tokens are less likely under the target than its own, in nats a token; the share of that
difference that is gone at this ask rate (temperature 0.7, documents, asked by the typical doubt)."""


@dataclass(frozen=True)
class Variant:
    """One way of making a head.

    Attributes:
        units: of the hidden layer, 0 for none.
        hides: names of the scalar inputs that it does not see.
        hides_scalars, hides_hidden: whether it sees none of them, or nothing of the hidden state.
        adds: further inputs, from rows to ``float32 [N, k]``; it is given the training rows, too.
        soft: labels of both columns in place of the criteria's, ``float32 [N]`` between 0 and 1.
    """

    units: int = 64
    hides: Sequence[str] = ()
    hides_scalars: bool = False
    hides_hidden: bool = False
    adds: Callable[[Rows, Rows], np.ndarray] | None = None
    soft: Callable[[Rows], np.ndarray] | None = None


def position(rows: Rows, _: Rows) -> np.ndarray:
    """ln of the position in the text."""
    return np.log(rows.position.astype(np.float32))[:, None]


def last_audits(rows: Rows, _: Rows) -> np.ndarray:
    """Share of the last audited tokens of the text that were off-target, by each criterion, as late as audits are."""
    found = np.zeros((len(rows), 2), np.float32)
    # Rows of one text and one way of sampling follow each other.
    starts = np.flatnonzero(np.append(True, np.diff(rows.position) != 1))
    for start, end in zip(starts, np.append(starts[1:], len(rows)), strict=True):
        for column, off in enumerate((rows.off_typical, rows.off_strict)):
            sums = np.append(0, off[start:end].cumsum())
            last = np.maximum(np.arange(end - start) - _DELAY, 0)
            first = np.maximum(last - _AUDITS, 0)
            found[start:end, column] = (sums[last] - sums[first]) / _AUDITS
    return found


def identity(rows: Rows, training: Rows) -> np.ndarray:
    """How often the drawn token, and the runner-up, were in error in training: what a table of all tokens could say."""
    parts = []
    for ids, seen in ((rows.token, training.token), (rows.second, training.second)):
        total = np.bincount(seen, minlength=max(ids.max(), seen.max()) + 1)
        for off in (training.off_typical, training.off_strict):
            errors = np.bincount(seen, weights=off, minlength=len(total))
            parts.append(((errors + 10 * off.mean()) / (total + 10))[ids])
    return np.stack(parts, 1).astype(np.float32)


def regret(rows: Rows) -> np.ndarray:
    """ln p1(y) - ln p1(x), as a share of the most that counts."""
    return np.clip((rows.nll - rows.own_nll) / _MOST_REGRET, 0, 1).astype(np.float32)


VARIANTS = {
    "the paper's head": Variant(units=0, hides_scalars=True),
    "linear": Variant(units=0),
    "linear, scalars only": Variant(units=0, hides_hidden=True),
    "32 units": Variant(units=32),
    "64 units": Variant(),
    "128 units": Variant(units=128),
    "64 units, scalars only": Variant(hides_hidden=True),
    "64 units, without the rival": Variant(hides=_RIVAL),
    "64 units, without the rival and the margin": Variant(hides=("noisy_margin", *_RIVAL)),
    "64 units, and the position": Variant(adds=position),
    "64 units, and the last audits": Variant(adds=last_audits),
    "64 units, and who was drawn and who came second": Variant(adds=identity),
    "64 units, regret as the label": Variant(soft=regret),
}


def doubts(variant: Variant, training: Rows, judged: Sequence[Rows], seed: int) -> list[np.ndarray]:
    """Fit a head; its doubt of each row of each part of `judged`, ``float32 [N, 2]``."""

    def extended(rows: Rows) -> Rows:
        if variant.adds is None:
            return rows
        return replace(rows, features=np.concatenate([rows.features, variant.adds(rows, training)], 1))

    fitted = extended(training)
    visible = np.ones(fitted.features.shape[1], bool)
    visible[:SCALARS] = [not variant.hides_scalars and name not in variant.hides for name in NAMES]
    visible[SCALARS : training.features.shape[1]] = not variant.hides_hidden
    if variant.soft is not None:
        fitted = replace(fitted, off_typical=variant.soft(training), off_strict=variant.soft(training))
    head, _ = fit(fitted, FitSettings(units=variant.units, seed=seed), None if visible.all() else visible)
    return [head.doubt(extended(rows).features) for rows in judged]


def savings(doubt: Sequence[np.ndarray], judged: Sequence[Rows]) -> list[float]:
    """By how much fewer asks each cell needs than with the best free baseline, a share of them."""
    found = []
    for scores, rows in zip(doubt, judged, strict=True):
        free = [score for name, score in free_doubts(rows).items() if name != "random"]
        for criterion in DOUBT_COLUMNS:
            off, own = off_target(rows, criterion), doubt_of(criterion, scores, rows)
            for budget in BUDGETS:
                if off.mean() > budget:
                    best = min(ask_rate(score, off, budget) for score in free)
                    found.append(1 - ask_rate(own, off, budget) / best)
    return found


def gap_closed(doubt: np.ndarray, rows: Rows, share: float) -> float:
    """Of the gap in nats a token between x and y, the part closed by asking about the most doubtful `share`."""
    asked = doubt >= np.quantile(doubt, 1 - share)
    return float(((rows.nll - rows.own_nll) * asked).sum() / (rows.nll - rows.own_nll).sum())


def read_work(work: Path, most: int, seed: int) -> tuple[Rows, dict[str, list[Rows]]]:
    """Training rows of whole documents, about `most` of them, and the report's rows by kind of text and sampling.

    Raises:
        InputError: the directory holds no finished rows.
    """

    def load(name: str) -> list[Rows]:
        found = sorted(work.glob(f"rows-{name}"))
        return [read_rows(Stage(place.name, place, "")) for place in found if (place / "stage.json").is_file()]

    training = load("train-*")
    own, documents = load("report-t*"), load("report-documents")
    if not (training and own and documents):
        raise InputError(f"{work} holds no finished rows; give the work directory of a `cloud-target prepare`")
    joined = Rows.join(training)
    order = np.random.default_rng(seed).permutation(np.unique(joined.document))
    sizes = np.bincount(joined.document, minlength=order.max() + 1)[order].cumsum()
    kept = order[: int(np.searchsorted(sizes, most)) + 1]
    ways = [documents[0].where(documents[0].temperature == t) for t in np.unique(documents[0].temperature)]
    return joined.where(np.isin(joined.document, kept)), {"documents": ways, "own text": own}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=typed_path, help="the work directory of a finished `cloud-target prepare`")
    parser.add_argument("--rows", type=count, default=600_000, help="rows to train each head on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the fits (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), metavar="HEAD", help="these heads only")
    arguments = parser.parse_args()
    training, judged = read_work(arguments.work, arguments.rows, arguments.seed)
    parts = [rows for kind in judged.values() for rows in kind]
    (common,) = (rows for rows in judged["documents"] if abs(rows.temperature[0] - 0.7) < 1e-3)
    cells = []
    for name in arguments.only or VARIANTS:
        begin = time.perf_counter()
        found = doubts(VARIANTS[name], training, parts, arguments.seed)
        of = dict(zip(map(id, parts), found, strict=True))
        saved = {kind: savings([of[id(rows)] for rows in group], group) for kind, group in judged.items()}
        typical = doubt_of(Criterion.TYPICAL, of[id(common)], common)
        cells.append(
            [name]
            + [percent(figure, 1) for figures in saved.values() for figure in (float(np.mean(figures)), min(figures))]
            + [f"{gap_closed(typical, common, share):.2f}" for share in ASK_RATES]
        )
        print(f"  {name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    heads = ["head", *(f"{kind}, {figure} %" for kind in judged for figure in ("fewer asks", "worst"))]
    print(markdown_table([*heads, *(f"gap at {share:.0%}" for share in ASK_RATES)], cells))
    print(f"\n{len(training):,} training rows; {sum(map(len, parts)):,} judged. {provenance('benchmarks.heads')}")
    print(LEGEND)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
