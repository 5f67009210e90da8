"""Which layers a draft can do without: those whose absence changes least what the model says."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from cloud_target.distil.layers import Layers
from cloud_target.training.time_left import duration

# Evaluations that each layer after the first one to go takes, about.
_TRIED_AGAIN = 4


@dataclass(frozen=True)
class Choice:
    """What was found.

    Attributes:
        kept: indices of the layers that stay, ascending.
        gone: those that go, in the order in which they went.
        costs: KL divergence from the whole model once each of `gone` is missing too, nats a token.
    """

    kept: tuple[int, ...]
    gone: tuple[int, ...]
    costs: tuple[float, ...]


def choose_layers(layers: Layers, ids: np.ndarray, count: int, tell: Callable[[str], None] = lambda _: None) -> Choice:
    """The layers to keep, `count` of them: the others are taken away one by one, each time the one without which the
    next-token distributions move least (KL) from the whole model's, as in SLEB (Song et al., arXiv 2402.09025).

    A layer that would have added much before others went is not tried again until it is the cheapest left (lazy
    evaluation: Minoux, 1978), which finds the same wherever layers are missed the more, the fewer there are. Nothing is
    drawn.

    Args:
        layers: of the model.
        ids: held-out text to measure on, ``int64 [b, n]``.
        count: of layers to keep, at least one.
        tell: is told how long it will take.
    """
    truth = _log_p(layers.model, ids)

    def cost(gone: Iterable[int]) -> float:
        with layers.without(tuple(gone)):
            found = _log_p(layers.model, ids)
        return sum(float((p.exp() * (p - q)).sum(-1).mean()) for p, q in zip(truth, found, strict=True)) / len(truth)

    total = len(layers) + _TRIED_AGAIN * (len(layers) - count - 1)
    gone: list[int] = []
    costs: list[float] = []
    # What its absence adds, the layer, and how many had gone when that was found.
    waiting: list[tuple[float, int, int]] = []
    started = time.monotonic()
    if count < len(layers):
        waiting = [(cost([0]), 0, 0)]
        tell(f"about {duration((time.monotonic() - started) * total)}")
    with tqdm(total=max(total, 0), unit=" tries", mininterval=2, desc="layers", initial=len(waiting)) as bar:
        for layer in range(1, len(layers) if waiting else 0):
            waiting.append((cost([layer]), layer, 0))
            bar.update()
        heapq.heapify(waiting)
        while len(layers) - len(gone) > count:
            price, layer, known = heapq.heappop(waiting)
            before = costs[-1] if costs else 0.0
            if known == len(gone):
                gone.append(layer)
                costs.append(before + price)
                continue
            heapq.heappush(waiting, (cost([*gone, layer]) - before, layer, len(gone)))
            bar.update()
    kept = tuple(layer for layer in range(len(layers)) if layer not in gone)
    return Choice(kept, tuple(gone), tuple(costs))


@torch.inference_mode()
def _log_p(model: PreTrainedModel, ids: np.ndarray) -> list[torch.Tensor]:
    """ln p of the tokens after each, row by row so that little is held at once, ``float32 [n, vocabulary]`` each."""
    rows = torch.as_tensor(ids, device=model.device)
    return [model(input_ids=row[None], use_cache=False).logits[0].float().log_softmax(-1) for row in rows]
