"""The loop of distillation: packed rows in, a step of the draft towards its target out; it can be left and taken up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from cloud_target.training.loss import loss_terms
from cloud_target.training.optim import Optimiser, Schedule
from cloud_target.training.packing import pack_rows, row_places
from cloud_target.training.teacher import SoftTargets

_MEMORY = 0.95  # of the loss that is shown


@dataclass(frozen=True)
class Batch:
    """Rows of packed documents with what the target expects after each token.

    Attributes:
        ids: ``int64 [b, n]``, padded with 0 at the end.
        inside: not padding, ``bool [b, n]``.
        top_ids, top_log_p: as in `SoftTargets`, ``int64 [b, n, K]`` and ``float32 [b, n, K]``.
    """

    ids: torch.Tensor
    inside: torch.Tensor
    top_ids: torch.Tensor
    top_log_p: torch.Tensor

    def split(self, rows: int) -> Iterator[Batch]:
        """The same in parts of so many rows."""
        parts = (part.split(rows) for part in (self.ids, self.inside, self.top_ids, self.top_log_p))
        return (Batch(*part) for part in zip(*parts, strict=True))


def batches(
    targets: SoftTargets, rows: int, width: int, random: np.random.Generator, device: str = "cpu", skip: int = 0
) -> Iterator[Batch]:
    """Batches of `rows` packed rows of `width` tokens, epoch after epoch, for ever; the first `skip` are left out."""
    starts = targets.starts
    waiting: list[list[int]] = []
    while True:
        for row in pack_rows(targets.lengths, width, random):
            waiting.append(row)
            if len(waiting) == rows:
                chosen, waiting = waiting, []
                if skip:
                    skip -= 1
                    continue
                places = np.stack([row_places(row, starts, targets.lengths, width) for row in chosen])
                arrays = targets.ids[places], places >= 0, targets.top_ids[places], targets.top_log_p[places]
                kinds = np.int64, bool, np.int64, np.float32
                yield Batch(*(torch.from_numpy(a.astype(k)).to(device) for a, k in zip(arrays, kinds, strict=True)))


class Loop:
    """A draft on its way to its target.

    Args:
        draft: its parameters are trained, in float32.
        optimiser: of these.
        schedule: of the run, which steps move on.
        rows: that are run at once; the gradients of a batch with more are added up.
        vocabulary: number of token ids; logits beyond are of none. All, if not given.
        forward: runs the draft, if not the draft itself (compiled, say).
    """

    def __init__(
        self,
        draft: PreTrainedModel,
        optimiser: Optimiser,
        schedule: Schedule,
        rows: int | None = None,
        vocabulary: int | None = None,
        forward: Callable[..., Any] | None = None,
    ) -> None:
        self.draft, self.optimiser, self.schedule = draft, optimiser, schedule
        self.steps = 0
        self._rows, self._vocabulary, self._forward = rows, vocabulary, forward or draft
        self._smoothed: list[float] | None = None

    def step(self, batch: Batch) -> torch.Tensor:
        """Learn from a batch; returns the means of the loss's three terms over it, ``float32 [3]``."""
        count = int(batch.inside.sum())
        terms = torch.stack([self._differentiate(part, count) for part in self._parts(batch)]).sum(0)
        self.optimiser.step(self.schedule.scale)
        self.schedule.seen += count
        self.steps += 1
        shown = terms.tolist()
        before = self._smoothed or shown
        self._smoothed = [_MEMORY * old + (1 - _MEMORY) * new for old, new in zip(before, shown, strict=True)]
        return terms

    def try_out(self, batch: Batch) -> float:
        """About how many seconds a step over such a batch takes, without one."""
        first, *rest = self._parts(batch)
        for _ in range(2):  # the first time memory is asked for
            started = time.perf_counter()
            self._differentiate(first, int(first.inside.sum()))
            self.optimiser.clear()
        return (1 + len(rest)) * (time.perf_counter() - started)

    def _parts(self, batch: Batch) -> Iterator[Batch]:
        return batch.split(self._rows or len(batch.ids))

    def _differentiate(self, part: Batch, count: int) -> torch.Tensor:
        """Add the gradients of a part of a batch with `count` tokens; returns its share of the means."""
        with torch.autocast(part.ids.device.type, torch.bfloat16, enabled=part.ids.device.type != "cpu"):
            logits = self._forward(input_ids=part.ids, use_cache=False).logits[..., : self._vocabulary]
        terms = loss_terms(logits.float(), part.top_ids, part.top_log_p)[:, part.inside].sum(1) / count
        terms.sum().backward()
        return terms.detach()

    def describe(self) -> str:
        """Half a line for people: what was read, and the loss of late."""
        kl, tv, warm = self._smoothed or [float("nan")] * 3
        return f"{self.schedule.seen / 1e6:.2f} M tokens, KL {kl:.3f}, TV {tv:.3f}, warm {warm:.3f}"

    def state(self) -> dict[str, Any]:
        """All that a run goes on from, but for its text: tensors, numbers and lists of them."""
        return {
            "draft": self.draft.state_dict(),
            "optimiser": self.optimiser.state(),
            "seen": self.schedule.seen,
            "spent": self.schedule.spent,
            "steps": self.steps,
            "smoothed": self._smoothed,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.draft.load_state_dict(state["draft"])
        self.optimiser.restore(state["optimiser"])
        self.schedule.seen, self.schedule.spent = state["seen"], state["spent"]
        self.steps, self._smoothed = state["steps"], state["smoothed"]
