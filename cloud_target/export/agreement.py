"""How often two drafts write the same token, on text that the draft itself has written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from cloud_target.export.candidates import CANDIDATES
from cloud_target.export.check import reference
from cloud_target.export.runner import Runner
from shared.config import Sampling
from shared.sampling import Sampler

# Rows that are read at once: over all tokens of a vocabulary each takes some megabytes.
_ROWS = 32


@dataclass(frozen=True)
class Agreement:
    """How often two drafts write the same token after the same text.

    Attributes:
        greedy: share of positions with the same likeliest token.
        sampled: share of positions with the same drawn token, under the noise that both sides share.
        tokens: how many positions the two rest on.
    """

    greedy: float
    sampled: float
    tokens: int


@dataclass(frozen=True)
class Said:
    """What a draft has to say of a text: the likeliest tokens after each of its n, best first.

    Attributes:
        text: token ids.
        ids, logits: ``int64 [n, K]`` and ``float32 [n, K]``.
    """

    text: list[int]
    ids: np.ndarray
    logits: np.ndarray


def said_by(runner: Runner, text: Sequence[int]) -> Said:
    """What a graph says of a text."""
    runner.rewind(0)
    steps = [runner.feed(text[first : first + _ROWS]) for first in range(0, len(text), _ROWS)]
    ids, logits = (np.concatenate([step[name] for step in steps]) for name in ("top_ids", "top_logits"))
    return Said(list(text), ids, logits)


def said_by_torch(model: PreTrainedModel, text: Sequence[int]) -> Said:
    """What the checkpoint itself says of a text, in float32."""
    logits = torch.from_numpy(reference(model, text)[0])
    top_logits, ids = logits.topk(min(CANDIDATES, logits.shape[1]), dim=1)
    return Said(list(text), ids.numpy(), top_logits.numpy())


def agreement(truth: Sequence[Said], runner: Runner, sampling: Sampling) -> Agreement:
    """Compare a graph with what another draft said, on every position of its texts."""
    sampler = Sampler(sampling)
    greedy = sampled = tokens = 0
    for one in truth:
        other = said_by(runner, one.text)
        for row in range(len(one.text)):
            a, b = (sampler.draw(each.ids[row], each.logits[row], position=row + 1).token for each in (one, other))
            sampled += a == b
            greedy += int(one.ids[row, 0] == other.ids[row, 0])
            tokens += 1
    return Agreement(greedy / tokens, sampled / tokens, tokens)


def write_texts(
    runner: Runner, start: Sequence[int], count: int, length: int, wrote: Callable[[int], None] = lambda _: None
) -> list[list[int]]:
    """`count` texts of `length` tokens that a draft writes by itself after `start`, at temperature 1.

    Args:
        wrote: is told of each text.
    """
    texts = []
    for seed in range(count):
        sampler = Sampler(Sampling(temperature=1.0, top_p=1.0, seed=seed))
        text = list(start)
        runner.rewind(0)
        step = runner.feed(text, [len(text) - 1])
        while len(text) < length:
            text.append(sampler.draw(step["top_ids"][0], step["top_logits"][0], position=len(text)).token)
            step = runner.feed(text[-1:])
        texts.append(text)
        wrote(1)
    return texts
