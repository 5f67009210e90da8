"""Does learning on the device pay? Audits of the target's own text, one after the other, as a device would get them.

    python -m benchmarks.learning bundle.work

For a verifier that was trained, and for the baseline of a bundle that never was: the share of tokens to ask about at
equal divergence, with the shipped head, and with the correction that the audits have taught it so far. The first
quarter of the tokens teaches and is not counted.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from benchmarks.heads import read_work
from benchmarks.local_target import run_main
from benchmarks.tables import markdown_table, percent, provenance
from cloud_target.prepare.heads import VERIFIER, ExportedHead
from cloud_target.training.doubts import ask_rate, doubt_of, off_target
from edge_client.promise.learning import Learner
from shared.calibration import DOUBT_COLUMNS
from shared.errors import InputError
from shared.features import NAMES, SCALARS
from shared.paths import typed_path
from shared.steering.budget import Budget

BUDGETS = (0.01, 0.05)


def taught(doubt: np.ndarray, scalars: np.ndarray, off: np.ndarray, limit: float) -> tuple[np.ndarray, Learner]:
    """The doubt of each token as a device would have it that keeps a budget and learns meanwhile, ``float64 [N]``.

    Args:
        doubt: of the shipped head, ``[N]``.
        scalars: ``float32 [N, SCALARS]``.
        off: labels, ``bool [N]``.
        limit: the budget.
    """
    learner, budget = Learner(), Budget(limit)
    corrected = np.empty(len(doubt))
    for i, (shipped, is_off) in enumerate(zip(doubt.tolist(), off.tolist(), strict=True)):
        corrected[i], inputs = learner.correct(scalars[i], shipped)
        budget.doubted(corrected[i])
        is_asked = corrected[i] > budget.threshold
        budget.observe(int(is_off and not is_asked), 1, [corrected[i]], [is_off])
        learner.audited(inputs, is_off)
    return corrected, learner


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=typed_path, help="the work directory of a finished `cloud-target prepare`")
    arguments = parser.parse_args()
    _, judged = read_work(arguments.work, 1, 0)
    path = arguments.work / "heads" / VERIFIER
    if not path.is_file():
        raise InputError(
            f"{arguments.work} holds no fitted verifier; give the work directory of a finished `cloud-target prepare`"
        )
    trained, cells = ExportedHead(path), []
    for rows in judged["own text"]:
        scalars = rows.features[:, :SCALARS]
        untrained = 1 - np.exp(scalars[:, NAMES.index("log_probability")])
        doubts = trained.doubt(rows.features)
        for criterion in DOUBT_COLUMNS:
            off = off_target(rows, criterion)
            counted = slice(len(off) // 4, None)
            for name, doubt in (("untrained", untrained), ("trained", doubt_of(criterion, doubts, rows))):
                for budget in BUDGETS:
                    if off[counted].mean() <= budget:
                        continue
                    corrected, learner = taught(doubt, scalars, off, budget)
                    asks = [ask_rate(d[counted], off[counted], budget) for d in (doubt, corrected)]
                    way = f"{rows.temperature[0]:g}, {rows.top_p[0]:g}"
                    change = percent(asks[1] / asks[0] - 1, 1)
                    in_use = "yes" if learner.in_use else "no"
                    cells.append(
                        [str(criterion), way, name, percent(budget, 0), *(percent(a, 1) for a in asks), change, in_use]
                    )
    head = (
        "criterion",
        "temperature, top-p",
        "verifier",
        "budget %",
        "asked %",
        "with learning %",
        "change %",
        "in use",
    )
    print(markdown_table(head, cells))
    print(f"\n{provenance('benchmarks.learning')}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
