"""Which way to store a draft's weights in few bits: each is made and measured here, and one is taken."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from transformers import PreTrainedModel

from cloud_target.export.agreement import Agreement, Said, agreement, said_by_torch, write_texts
from cloud_target.export.builder import Graph
from cloud_target.export.precision import Precision
from cloud_target.export.progress import Progress
from cloud_target.export.quantise import quantise
from cloud_target.export.runner import Runner
from cloud_target.export.writing import Stored, write_apart
from shared.config import Sampling

# A draft should draw the same token as in float32 in this share of positions: with less here, texts of another kind,
# the target's answers, are met at less than that.
ENOUGH = 0.97
# How tokens are drawn for that: as a device draws where nobody says otherwise.
_SAMPLING = Sampling()
# Texts that are written to find out, and tokens of each: fewest, and most.
_TEXTS, _SHORTEST, _LONGEST = 4, 32, 128
# Weights times tokens that one way may take to read; larger drafts write less.
_WORK = 4e11
# Steps that are timed, by turns with float32's.
_STEPS = 25


@dataclass(frozen=True)
class Trial:
    """What the ways are tried on.

    Attributes:
        model: the checkpoint's.
        graph: float32.
        part, exact: the float32 graph that steps are timed against, and where it lies.
        context: of the graphs.
        start: of the texts.
        scratch: directory for what is tried.
        layers: how many of the model's first ones `part` has; None for all.
        tell: is told what is being done, a line at a time.
    """

    model: PreTrainedModel
    graph: Graph
    part: Graph
    exact: Stored
    context: int
    start: Sequence[int]
    scratch: Path
    layers: int | None
    tell: Callable[[str], None]


@dataclass(frozen=True)
class Tried:
    """What was found of one way.

    Attributes:
        step: the time of a step, as a share of float32's; None where it was not measured.
    """

    precision: Precision
    stored: Stored
    agreement: Agreement
    step: float | None

    @property
    def rank(self) -> tuple[bool, float]:
        """The more, the better: the fastest of those that agree enough, or else the one that agrees most."""
        enough = self.agreement.sampled >= ENOUGH
        return enough, -(self.step or 0.0) if enough else self.agreement.sampled

    def __str__(self) -> str:
        step = "     -" if self.step is None else f"{self.step:6.2f}"
        size, agreed = self.stored.graph.nbytes / 1e6, self.agreement
        return f"{self.precision!s:58} {size:7.0f} {step} {agreed.greedy:9.1%} {agreed.sampled:6.1%}"


def choose(trial: Trial, ways: Sequence[Precision]) -> tuple[Stored, Precision, Agreement]:
    """Make and measure all `ways`, tell what was found, and take the best; the others are removed.

    Of one way alone the step is not timed.
    """
    tell, best, truth = trial.tell, None, None
    tell(f"{'weights':58} {'MB':>7} {'step':>6} {'likeliest':>9} {'drawn':>6}")
    exact = Runner(trial.exact.path, trial.context) if len(ways) > 1 else None
    for number, way in enumerate(ways):
        directory = trial.scratch / str(number)
        stored = write(quantise(trial.graph, way), directory, tell)
        runner = Runner(stored.path, trial.context)
        truth = truth or _truth(trial, runner)
        agreed = agreement(truth, runner, _SAMPLING)
        step = _pace(trial, way, exact, runner) if exact else None
        tried = Tried(way, stored, agreed, step)
        tell(str(tried))
        if best is None or tried.rank > best.rank:
            best, tried = tried, best
        if tried:
            shutil.rmtree(tried.stored.path.parent)
    assert best is not None, "there is one way at least"
    _tell_choice(best, len(ways), trial)
    return best.stored, best.precision, best.agreement


def write(graph: Graph, directory: Path, tell: Callable[[str], None]) -> Stored:
    """Write a graph where it can be run in little memory, telling of what takes long."""
    return write_apart(graph, directory, Progress(tell, "weights written", graph.nbytes))


def _truth(trial: Trial, runner: Runner) -> list[Said]:
    """What the checkpoint says of texts that the draft writes, as the first of the ways has it."""
    most = int(_WORK / max(trial.model.num_parameters(), 1) / _TEXTS)
    length = min(max(min(most, _LONGEST), _SHORTEST), trial.context)
    progress = Progress(trial.tell, "text written and read", 2 * _TEXTS)
    found = []
    for text in write_texts(runner, trial.start[:1], _TEXTS, length, progress):
        found.append(said_by_torch(trial.model, text, _SAMPLING))
        progress(1)
    return found


def _pace(trial: Trial, way: Precision, exact: Runner, runner: Runner) -> float:
    """The time of a step as a share of float32's: both by turns, so that a busy moment of the machine slows both."""
    directory = trial.scratch / "timed"
    if trial.layers:
        runner = Runner(write(quantise(trial.part, way), directory, trial.tell).path, trial.context)
    times: tuple[list[float], list[float]] = ([], [])
    for each in (exact, runner):
        each.rewind(0)
        each.feed(trial.start[:1])
    for _ in range(_STEPS):
        for each, spent in zip((exact, runner), times, strict=True):
            begin = perf_counter()
            each.feed(trial.start[:1])
            spent.append(perf_counter() - begin)
    shutil.rmtree(directory, ignore_errors=True)
    return median(times[1]) / median(times[0])


def _tell_choice(best: Tried, ways: int, trial: Trial) -> None:
    agreed, part = best.agreement, f", of the first {trial.layers} layers" if trial.layers else ""
    if ways > 1:
        trial.tell(f"(step: its time, float32's being 1{part}; likeliest, drawn: the same tokens as in float32)")
        trial.tell(f"taken: {best.precision}")
    trial.tell(
        f"{best.precision.dtype} draws the same token as float32 at {agreed.sampled:.1%} of {agreed.tokens} positions"
    )
    if agreed.sampled < ENOUGH:
        trial.tell(
            f"warning: that is less than {ENOUGH:.0%}, so the target will be asked more often than with more bits; "
            "try --dtype int8, smaller blocks or --head float32, or take --dtype float32"
        )
