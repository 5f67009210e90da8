"""How many answers are right, and what the texts look like."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.modes import Run, write
from benchmarks.real_pair.plan import Pair
from benchmarks.real_pair.questions import WITH_ANSWERS, Question, some
from benchmarks.tables import markdown_table, percent
from benchmarks.workers import Place
from edge_client.edge import Edge
from edge_client.settings import Settings
from shared.config import Criterion, Mode

TITLE = "How many answers are right?"
SAMPLES = "Texts side by side"
WIDTH = 100
Job = tuple[list[list[int]], Settings]


def rows_of(tokens: int, temperature: float) -> dict[str, Settings]:
    """The ways to answer, by name."""
    drawn = Settings(temperature=temperature, max_tokens=tokens)
    strict = replace(drawn, mode=Mode.SPRINT, criterion=Criterion.STRICT, budget=0.05)
    return {
        "the draft alone": replace(drawn, mode=Mode.LOCAL),
        f"`sprint`, {drawn.criterion} {100 * drawn.budget:g} %": replace(drawn, mode=Mode.SPRINT),
        "`sprint`, strict 5 %": strict,
        "the target": replace(drawn, mode=Mode.CLOUD),
    }


def write_all(place: Place, job: Job) -> list[Run]:
    """The answers to all questions in one way, under one promise; the number of each is its seed."""
    prompts, settings = job
    runs = []
    with Edge(place.address, bundle=place.bundle, memory=False, on_outage="wait") as edge:
        for seed, ids in enumerate(prompts):
            runs.append(write(edge, ids, replace(settings, seed=seed)))
            place.count(runs[-1].counts.shown)
    return runs


def _written(pair: Pair, questions: Sequence[Question], rows: dict[str, Settings], tokens: int) -> list[list[Run]]:
    prompts = [pair.prompt(question) for question in questions]
    return pair.workers.run(write_all, [(prompts, row) for row in rows.values()], len(rows) * len(prompts) * tokens)


def measure(pair: Pair) -> str:
    """A line for each way to answer the questions that have a right answer, greedily."""
    questions, rows = WITH_ANSWERS[: pair.plan.answers], rows_of(pair.plan.tokens, 0.0)
    cells = []
    for name, runs in zip(rows, _written(pair, questions, rows, pair.plan.tokens), strict=True):
        said = [pair.loaded.tokenizer.decode(run.ids) for run in runs]
        right = sum(question.is_right(text) for question, text in zip(questions, said, strict=True))
        tokens = sum(run.counts.shown for run in runs)
        cells.append([name, f"{right} of {len(questions)}", f"{sum(run.summary.calls for run in runs) / tokens:.3f}"])
    told = "An answer is right if it holds what `benchmarks/real_pair/questions.py` says that it must. Temperature 0."
    return f"{markdown_table(['', 'right', 'calls/token'], cells)}\n\n{told}"


def samples(pair: Pair) -> str:
    """Some questions with the answer of each."""
    questions, rows = some(pair.plan.samples), rows_of(pair.plan.tokens, 0.7)
    found = _written(pair, questions, rows, pair.plan.tokens)
    parts = []
    for number, question in enumerate(questions):
        lines = [f"**{question.text}**"]
        for name, runs in zip(rows, found, strict=True):
            said = " ".join(pair.loaded.tokenizer.decode(runs[number].ids).split())
            asked = percent(runs[number].counts.ask_rate, 0)
            note = f" ({asked} % asked)" if name.startswith("`sprint") else ""
            lines.append("\n".join(textwrap.wrap(f"- {name}{note}: {said}", WIDTH, subsequent_indent="  ")))
        parts.append("\n\n".join([lines[0], "\n".join(lines[1:])]))
    return "\n\n".join(parts) + f"\n\nTemperature 0.7, top-p 0.9, at most {pair.plan.tokens} tokens each."
