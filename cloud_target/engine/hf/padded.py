"""One pass as any causal model understands it: rows side by side, shorter ones padded on the left, and a mask.

For models whose attention cannot be replaced (see `packed.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel


class Padded:
    """B rows of T tokens, and the L tokens that any of them looks at.

    Args:
        rows: of each the arena index of its text, the position of its first new token, and how many are new.

    Attributes:
        positions: of each token, ``int64 [B, T]``; of padding, 0.
        new: which of the ``B * T`` tokens are no padding, ``int64 [N]``, in order of rows.
        seen: arena indices of all texts, ``int64 [B, L]``; the first one again where a text has ended.
    """

    def __init__(self, rows: Sequence[tuple[int, int, int]], device: torch.device) -> None:
        width, length = max(count for _, _, count in rows), max(start + count for _, start, count in rows)
        positions, real = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), bool)
        column = np.arange(length)
        seen = np.empty((len(rows), length), np.int64)
        for i, (offset, start, count) in enumerate(rows):
            positions[i, width - count :] = np.arange(start, start + count)
            real[i, width - count :] = True
            seen[i] = offset + np.where(column < start + count, column, 0)
        self.positions = torch.from_numpy(positions).to(device)
        self.new = torch.from_numpy(np.flatnonzero(real)).to(device)
        self.seen = torch.from_numpy(seen).to(device)


class MaskMaker:
    """Says which position each token may look at, in the form that a model takes.

    Layers with a sliding window see the last tokens only; the cache holds all the same, so cutting back still works.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ())
        self.window = getattr(config, "sliding_window", None)
        if (kinds and "sliding_attention" not in kinds) or not getattr(config, "use_sliding_window", True):
            self.window = None
        self.mixed = len(kinds) > 1
        # Eager attention adds the mask to the scores; the others take it as it is.
        self._additive = model.dtype if model.config._attn_implementation == "eager" else None

    def make(self, at: Padded) -> torch.Tensor | dict[str, torch.Tensor]:
        """The mask ``[B, 1, T, L]``, or one for each kind of layer."""
        if self.mixed:
            return {"full_attention": self._mask(at, None), "sliding_attention": self._mask(at, self.window)}
        return self._mask(at, self.window)

    def none(self, device: torch.device) -> torch.Tensor | dict[str, torch.Tensor]:
        """What keeps a model from making a mask of its own, where nobody will look at it."""
        mask = torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=device)
        return {"full_attention": mask, "sliding_attention": mask} if self.mixed else mask

    def _mask(self, at: Padded, window: int | None) -> torch.Tensor:
        positions = at.positions[:, None, :, None]
        index = torch.arange(at.seen.shape[1], device=at.positions.device)
        seen = index <= positions
        if window is not None:
            seen &= index > positions - window
        if self._additive is None:
            return seen
        lowest = torch.finfo(self._additive).min
        return torch.zeros(seen.shape, dtype=self._additive, device=seen.device).masked_fill(~seen, lowest)
