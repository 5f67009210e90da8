"""Logits without the tokens that a grammar forbids, on the device that computed them."""

from __future__ import annotations

import numpy as np
import torch

from cloud_target.engine.interface import FORBIDDEN


def forbid(logits: torch.Tensor, first: int, bits: np.ndarray) -> torch.Tensor:
    """Forbid tokens in some rows; returns the logits, changed in place where that can be.

    Args:
        logits: ``float32 [N, vocabulary]``.
        first: the first of the rows.
        bits: one where a token is allowed, by id, least significant first, ``uint8 [n, ceil(vocabulary / 8)]``.
    """
    allowed = torch.from_numpy(np.unpackbits(bits, axis=1, count=logits.shape[1], bitorder="little"))
    forbidden = allowed.to(logits.device) == 0
    logits[first : first + len(bits)].masked_fill_(forbidden, FORBIDDEN)
    return logits
