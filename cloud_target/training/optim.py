"""The optimiser and schedule that every training command here uses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


class Optimiser:
    """Muon for the matrices inside the layers, AdamW for embeddings, norms and heads, behind one `step`.

    Muon (Jordan et al., 2024) reaches a given loss in clearly fewer tokens than AdamW, which is what counts
    where a corpus is small and a machine slow. Its own work grows with the cube of the width, in bfloat16: on a CPU
    that lacks that type a matrix of 600 by 1,500 takes it a thousand times as long as AdamW, so wide models do without.

    Args:
        model: whose parameters are trained.
        peak: largest learning rate.
        weight_decay: of all of them.
        muon: whether it is used; AdamW for all if not.
    """

    def __init__(self, model: nn.Module, peak: float, weight_decay: float = 0.1, muon: bool = True) -> None:
        apart = _tables(model) if muon else {id(p) for p in model.parameters()}
        matrices = [p for p in model.parameters() if p.ndim == 2 and id(p) not in apart]
        inside = {id(p) for p in matrices}
        rest = [p for p in model.parameters() if id(p) not in inside]
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=peak, betas=(0.9, 0.98), weight_decay=weight_decay)
        ]
        if matrices:
            self._parts.append(
                torch.optim.Muon(matrices, lr=peak, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            )
        self._parameters = list(model.parameters())
        self._peak = peak

    def clear(self) -> None:
        """Forget the gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def step(self, scale: float) -> None:
        """Clip, step at `scale` times the peak learning rate, and clear the gradients."""
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = self._peak * scale
            part.step()
        self.clear()

    def state(self) -> list[dict[str, Any]]:
        """What the steps so far have left behind, for `restore`."""
        return [part.state_dict() for part in self._parts]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Go on from what `state` gave."""
        for part, left in zip(self._parts, state, strict=True):
            part.load_state_dict(left)


def _tables(model: nn.Module) -> set[int]:
    """The identities of the weights that are no maps from one layer's space to another: embeddings, and the head."""
    modules = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    head = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
    return {id(p) for module in (*modules, head) if module is not None for p in module.parameters()}


@dataclass
class Schedule:
    """Warm-up, plateau, then a cosine decay to nothing, over `tokens` or `minutes`, whichever ends first.

    `spent` can be set where a run goes on.
    """

    tokens: float
    minutes: float = math.inf
    warmup: float = 0.02
    decay: float = 0.5
    seen: int = 0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def spent(self) -> float:
        """Seconds that the run has taken so far."""
        return self.clock() - self._started

    @spent.setter
    def spent(self, seconds: float) -> None:
        self._started = self.clock() - seconds

    @property
    def progress(self) -> float:
        """The share of the run that is behind us, 0 to 1."""
        return min(1.0, max(self.seen / self.tokens, self.spent / 60 / self.minutes))

    @property
    def scale(self) -> float:
        """What the peak learning rate is multiplied by now, 0 to 1."""
        progress = self.progress
        if progress < self.warmup:
            return max(progress, 1e-3) / self.warmup
        left = (1.0 - progress) / self.decay
        return 1.0 if left >= 1.0 else 0.5 - 0.5 * math.cos(math.pi * left)
