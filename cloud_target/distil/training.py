"""The training run: steps, now and then a line of the table, the best draft so far on disk, a state to go on from."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from cloud_target.distil import state
from cloud_target.distil.held_out import HeldOut, agreement
from cloud_target.distil.settings import MINUTES, Settings
from cloud_target.distil.stopping import Stopped, Stopping
from cloud_target.distil.table import Line, Measured, best, row
from cloud_target.training.loop import Batch, Loop, batches
from cloud_target.training.optim import Optimiser, Schedule
from cloud_target.training.teacher import SoftTargets, bearable_tokens
from cloud_target.training.time_left import duration

# Seconds of training between two states, at least; saving takes at most so large a share of the time.
_SAVE_EVERY = 120.0
_SAVING_SHARE = 0.05

# Writes a draft, if there is a better one, and its table: the model or None, and all lines so far.
Keep = Callable[[PreTrainedModel | None, Sequence[Line]], None]


class Training:
    """A run that can be cut after any step and gone on with.

    Where `tokens` alone says how long it is, what comes out is the same whether it was cut or not.

    Args:
        draft: where it begins; it is trained in place.
        targets: what it learns from, `width` tokens a row at most.
        held: what its lines are measured on, one for each of `held_out.SAMPLINGS`.
        measured: what holds for all lines.
        settings: of the run.
        vocabulary: number of token ids.
        dtype: that the draft is kept in; its lines are about the weights as rounded.
        width: tokens of a row.
        directory: where the state is.
        keep: is given all lines when there is a new one, and the draft if it is the best so far.
        tell: is told what is being done, a line at a time.
        clock: seconds, whose differences count.
    """

    def __init__(
        self,
        draft: PreTrainedModel,
        targets: SoftTargets,
        held: Sequence[HeldOut],
        measured: Measured,
        settings: Settings,
        vocabulary: int,
        dtype: torch.dtype,
        width: int,
        directory: Path,
        keep: Keep,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._held, self._measured = settings, held, measured
        self._vocabulary, self._dtype, self._directory = vocabulary, dtype, directory
        self._keep, self._tell, self._clock = keep, tell, clock
        self.lines: list[Line] = []
        self._trained = 0.0  # seconds; measuring and saving take none of the run's time
        limit = MINUTES if settings.tokens is None else math.inf
        schedule = Schedule(settings.tokens or math.inf, settings.minutes or limit, clock=lambda: self._trained)
        at_once = max(1, bearable_tokens(vocabulary, draft.device.type) // width)
        optimiser = Optimiser(draft.requires_grad_(True), settings.peak, muon=False)
        self._schedule, self._loop = schedule, Loop(draft, optimiser, schedule, at_once, vocabulary)
        if found := state.load(directory, settings.device):
            self._loop.restore(found["loop"])
            self.lines = [Line(**line) for line in found["lines"]]
        rows, random = max(1, settings.batch_tokens // width), np.random.default_rng(settings.seed)
        self._stream: Iterator[Batch] = batches(targets, rows, width, random, settings.device, skip=self._loop.steps)

    def run(self) -> list[Line]:
        """Train to the end; returns the lines of the table.

        Raises:
            KeyboardInterrupt: somebody wanted it to end; the state is kept.
            InputError: there is no room for state or draft.
        """
        with Stopping(self._tell) as stopping:
            try:
                for line in self.lines:
                    self._tell(row(line, self._measured))
                measuring = self._measure_if_due(stopping, self._tell)
                self._say_how_long(measuring)
                self._train(stopping)
            except Stopped:
                self._save()
                raise
        return self.lines

    def _train(self, stopping: Stopping) -> None:
        saved, save_every = self._clock(), _SAVE_EVERY
        form, first = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}", self._schedule.progress
        with tqdm(total=1.0, initial=first, bar_format=form, mininterval=2, miniters=0, desc="training") as bar:
            while self._schedule.progress < 1:
                started = self._clock()
                self._loop.step(next(self._stream))
                self._trained += self._clock() - started
                bar.set_postfix_str(self._loop.describe(), refresh=False)
                bar.update(self._schedule.progress - bar.n)
                if self._measure_if_due(stopping, bar.write) or self._clock() - saved > save_every:
                    took = self._save()
                    saved, save_every = self._clock(), max(_SAVE_EVERY, took / _SAVING_SHARE)
                stopping.check()

    def _measure_if_due(self, stopping: Stopping, write: Callable[[str], object]) -> float:
        """A line of the table, if one is due: at the beginning, the end, evenly between; the seconds that it took."""
        seen, due = self._schedule.seen, len(self.lines) / self._settings.evaluations
        if self._schedule.progress < due or (self.lines and self.lines[-1].tokens == seen):
            return 0.0
        started = self._clock()
        rounded = _rounded(self._loop.draft, self._dtype)
        greedy, sampled = (agreement(rounded, held, self._vocabulary, stopping.check) for held in self._held)
        line = Line(round(self._schedule.spent / 60, 2), seen, greedy, sampled)
        write(row(line, self._measured))
        self._keep(rounded if best([*self.lines, line]) is line else None, [*self.lines, line])
        self.lines.append(line)
        return self._clock() - started

    def _say_how_long(self, measuring: float) -> None:
        """Tell how long the rest takes, if a line takes `measuring` seconds."""
        left = 1 - self._schedule.progress
        if not left:
            return
        batch = next(self._stream)
        self._stream = itertools.chain([batch], self._stream)
        seconds = self._loop.try_out(batch) * left * self._schedule.tokens / int(batch.inside.sum())
        seconds = min(seconds, left * 60 * self._schedule.minutes)
        seconds += measuring * (self._settings.evaluations + 1 - len(self.lines))
        self._tell(f"  training: about {duration(seconds)}")

    def _save(self) -> float:
        """Write the state; returns the seconds that took."""
        started = self._clock()
        state.save({"loop": self._loop.state(), "lines": [asdict(line) for line in self.lines]}, self._directory)
        return self._clock() - started


@torch.no_grad()
def _rounded(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """A copy whose weights have values of `dtype`, in float32 as before."""
    made = copy.deepcopy(model).requires_grad_(False)
    for weight in made.parameters():
        weight.copy_(weight.to(dtype))
    return made
