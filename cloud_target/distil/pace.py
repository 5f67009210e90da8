"""How long a token takes: a step of the draft beside one of its target, and what that can gain."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel

from cloud_target.engine.hf.typed import cache_argument

# Tokens of the text before the steps, steps to warm up, and steps that count.
_BEFORE, _WARM, _STEPS = 64, 2, 30
# Tokens that are drafted between two passes of the target, at most.
_MOST_DRAFTED = 16


@torch.inference_mode()
def step_seconds(models: list[PreTrainedModel], context: int) -> list[float]:
    """The time of a step of one token with its text in a cache, for each model: the shortest of some in turns, as
    whatever else the machine does makes them longer only."""
    steps = min(_WARM + _STEPS, context - 1)
    before = min(_BEFORE, context - steps)
    texts: list[dict[str, Any]] = [{str(cache_argument(model)): DynamicCache(), "use_cache": True} for model in models]
    for model, kept in zip(models, texts, strict=True):
        model(input_ids=torch.ones((1, before), dtype=torch.int64, device=model.device), **kept)
    times: list[list[float]] = [[] for _ in models]
    for _ in range(steps):
        for model, kept, found in zip(models, texts, times, strict=True):
            token = torch.ones((1, 1), dtype=torch.int64, device=model.device)
            started = time.perf_counter()
            # Read back, so that a device that works by itself is waited for.
            model(input_ids=token, **kept).logits[0, -1, 0].item()
            found.append(time.perf_counter() - started)
    return [min(found[_WARM:]) for found in times]


def gain(agreement: float, share: float) -> float:
    """How much faster than its target alone a pair beside each other writes at best, in speculative decoding with the
    best window of up to 16 tokens (Leviathan et al., arXiv 2211.17192, theorem 3.8); 1 where drafting does not pay.

    Args:
        agreement: share of drafted tokens that are the target's own, 0 to 1.
        share: a draft's step as a share of its target's.
    """
    best, tokens = 1.0, 1.0
    for drafted in range(1, _MOST_DRAFTED + 1):
        tokens += agreement**drafted
        best = max(best, tokens / (1 + drafted * share))
    return best
