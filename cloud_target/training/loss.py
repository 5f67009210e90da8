"""The loss of distillation: how far a draft is from its target, by the measures that coupled sampling pays for.

It is KL(p || q) + TV at temperature 1, and TV at temperature 0.7, where most text is written. Pr[x = y] is at least
(1 - TV) / (1 + TV) (Daliri, Musco, Suresh, arXiv 2408.07978); KL keeps q's tail honest.
"""

from __future__ import annotations

import torch

WARM = 0.7
_TINY = 1e-6


def loss_terms(logits: torch.Tensor, top_ids: torch.Tensor, top_log_p: torch.Tensor) -> torch.Tensor:
    """KL(p || q), TV(p, q), both at temperature 1, and TV at `WARM`, for each row, ``float32 [3, ...]``.

    Args:
        logits: the draft's, ``float32 [..., vocabulary]``.
        top_ids, top_log_p: the target's likeliest tokens, ``[..., K]``. What is beyond them counts as one token at
            temperature 1, and as nothing at `WARM`.
    """
    log_q = logits.gather(-1, top_ids) - logits.logsumexp(-1, keepdim=True)
    p, q = top_log_p.exp(), log_q.exp()
    tail_p = (1 - p.sum(-1)).clamp(min=_TINY)
    tail_q = (1 - q.sum(-1)).clamp(min=_TINY)
    kl = (p * (top_log_p - log_q)).sum(-1) + tail_p * (tail_p.log() - tail_q.log())
    tv = ((p - q).abs().sum(-1) + (tail_p - tail_q).abs()) / 2
    warm = ((top_log_p / WARM).softmax(-1) - (log_q / WARM).softmax(-1)).abs().sum(-1) / 2
    return torch.stack((kl, tv, warm))
