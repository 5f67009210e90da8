"""How many answers are right? Errands (`cloud_target/training/errands.py`) in every mode, and with other ways to ask.

    python -m benchmarks.answers
    python -m benchmarks.answers --errands 800 --temperature 0

An errand is a question with one right answer: a booking read back, a sum in words, words put in order, what one of
several people has. None of them was trained on: they are made from a seed that no corpus has.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.cascades import Cascade, Score, Written, free_scores, matched, paper_score, write
from benchmarks.local_target import local_target, run_main
from benchmarks.pair import add_models
from benchmarks.tables import markdown_table, percent, provenance
from cloud_target.engine.files import find_directory
from cloud_target.options.values import count
from cloud_target.training.errands import Errand, dialogues, errands
from edge_client.edge import Edge
from edge_client.settings import Settings
from shared.config import Criterion, Mode

KINDS = ("booking", "sum", "order", "owner")
BUDGETS = (
    *((Criterion.TYPICAL, budget) for budget in (0.05, 0.01, 0.005)),
    *((Criterion.STRICT, budget) for budget in (0.1, 0.05, 0.02, 0.01)),
)
# Dialogues that the paper's verifier is fitted on, and prompts that thresholds are matched on: of other seeds.
_FITTED, _MATCHED = 400, 60
LEGEND = """\
right: answers in which every value is right, in per cent of all, ± a standard error; by kind: booking (six values read
back, the time by the clock), sum (in words), order (of the alphabet), owner (what one of several people has); values:
single values that are right; asked: tokens that the target was asked about. `as often`: the threshold is chosen on
other errands so that about as many tokens are asked as under that budget; `threshold 0.5` is the paper's own."""


@dataclass(frozen=True)
class Row:
    """All errands, done in one way."""

    name: str
    answers: Sequence[Written]

    def cells(self, asked: Sequence[Errand]) -> list[str]:
        right = np.array([errand.right(one.text) for errand, one in zip(asked, self.answers, strict=True)])
        due = np.array([len(errand.values) for errand in asked])
        whole, kinds = right == due, np.array([errand.kind for errand in asked])
        tokens = sum(one.tokens for one in self.answers)
        return [
            self.name,
            f"{percent(whole.mean(), 1)} ± {percent(whole.std() / len(whole) ** 0.5, 1)}",
            *(percent(whole[kinds == kind].mean(), 0) for kind in KINDS),
            percent(right.sum() / due.sum(), 1),
            percent(sum(one.asked for one in self.answers) / tokens, 1),
            f"{sum(one.calls for one in self.answers) / tokens:.3f}",
        ]


HEADS = ["", "right %", *(f"{kind} %" for kind in KINDS), "values %", "asked %", "calls/token"]


def rows_of(options: argparse.Namespace, tell: Callable[[str], None]) -> tuple[list[Row], list[Errand]]:
    """Every row of the table, and the errands that they are about."""
    asked = errands(options.errands, options.seed)
    settings = Settings(temperature=options.temperature, top_p=options.top_p, max_tokens=80)
    target = str(find_directory(options.target))
    with (
        local_target("--target", options.target) as process,
        Edge(process.address, bundle=options.bundle, on_outage="wait") as edge,
    ):
        prompts = [_prompt(edge, errand) for errand in asked]
        others = [_prompt(edge, errand) for errand in errands(_MATCHED, options.seed + 1)]

        def by_edge(name: str, row: Settings) -> Row:
            tell(name)
            with Edge(process.address, bundle=edge.bundle, memory=False, on_outage="wait") as own:
                texts = [own.generate(ids, **vars(replace(row, seed=seed))) for seed, ids in enumerate(prompts)]
            usages = [text.usage for text in texts]
            return Row(
                name,
                [
                    # In `exact` every token is a guess, and the target is asked about all of them.
                    Written(text.text, usage.tokens, usage.audit.asked if row.mode is Mode.SPRINT else 0, usage.calls)
                    for text, usage in zip(texts, usages, strict=True)
                ],
            )

        def by_cascade(name: str, score: Score, threshold: float) -> Row:
            tell(name)
            cascade = Cascade(score, threshold)
            return Row(
                name,
                [write(edge, cascade, ids, replace(settings, seed=seed)) for seed, ids in enumerate(prompts)],
            )

        rows = [by_edge("`local`", replace(settings, mode=Mode.LOCAL))]
        for criterion, budget in BUDGETS:
            name = f"`sprint`, {criterion} {100 * budget:g} %"
            rows.append(by_edge(name, replace(settings, mode=Mode.SPRINT, criterion=criterion, budget=budget)))
        rows += [by_edge(f"`{mode}`", replace(settings, mode=mode)) for mode in (Mode.EXACT, Mode.CLOUD)]

        documents = [np.array(edge.bundle.encode(text)) for text in dialogues(_FITTED, options.seed + 2)]
        draft = f"{options.bundle}/draft.onnx"
        paper = paper_score(draft, edge.bundle.manifest.context, target, documents, settings.sampling)
        rows.append(by_cascade("the paper's verifier, threshold 0.5", paper, 0.5))
        for like in (row for row in rows if row.name in ("`sprint`, typical 1 %", "`sprint`, strict 5 %")):
            share = sum(one.asked for one in like.answers) / sum(one.tokens for one in like.answers)
            for name, score in ({"the paper's verifier": paper} | free_scores()).items():
                threshold = matched(edge, score, others, settings, share)
                rows.append(by_cascade(f"{name}, as often as {like.name}", score, threshold))
    return rows, asked


def _prompt(edge: Edge, errand: Errand) -> list[int]:
    return edge.bundle.encode_chat([{"role": "user", "content": errand.question}])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--errands", type=count, default=400, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1000, help="of the errands (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=Settings().temperature, help="(default: %(default)s)")
    parser.add_argument("--top-p", type=float, default=Settings().top_p, help="(default: %(default)s)")
    add_models(parser)
    options = parser.parse_args()
    found, asked = rows_of(options, lambda name: print(f"  {name}", file=sys.stderr, flush=True))
    print(markdown_table(HEADS, [row.cells(asked) for row in found]))
    print(f"\n{len(asked)} errands. {provenance('benchmarks.answers')}\n\n{LEGEND}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
