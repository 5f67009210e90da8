"""The optimiser and schedule that every training command here uses."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import torch
from torch import nn


class Optimiser:
    """Muon for the matrices inside the layers, AdamW for embeddings, norms and heads, behind one `step`.

    Muon (Jordan et al., 2024) reaches a given loss in clearly fewer tokens than AdamW, which is what counts
    where a corpus is small and a machine slow.
    """

    def __init__(self, model: nn.Module, peak: float, weight_decay: float = 0.1) -> None:
        matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "head" not in n]
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

    def step(self, scale: float) -> None:
        """Clip, step at `scale` times the peak learning rate, and clear the gradients."""
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = self._peak * scale
            part.step()
            part.zero_grad(set_to_none=True)


@dataclass
class Schedule:
    """Warm-up, plateau, then a cosine decay to nothing, over `tokens` or `minutes`, whichever ends first."""

    tokens: int
    minutes: float = math.inf
    warmup: float = 0.02
    decay: float = 0.5
    seen: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def progress(self) -> float:
        """The share of the run that is behind us, 0 to 1."""
        elapsed = (time.monotonic() - self.started) / 60
        return min(1.0, max(self.seen / self.tokens, elapsed / self.minutes))

    @property
    def scale(self) -> float:
        """What the peak learning rate is multiplied by now, 0 to 1."""
        progress = self.progress
        if progress < self.warmup:
            return max(progress, 1e-3) / self.warmup
        left = (1.0 - progress) / self.decay
        return 1.0 if left >= 1.0 else 0.5 - 0.5 * math.cos(math.pi * left)
