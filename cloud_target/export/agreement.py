"""How often two drafts write the same token, on text that the draft itself has written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from cloud_target.export.candidates import CANDIDATES, EVERY
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
    """What a draft has to say of a text of n tokens.

    Attributes:
        text: token ids.
        likeliest, drawn: what it would write after each token, greedily and drawn in the way asked for, ``int64 [n]``.
    """

    text: list[int]
    likeliest: np.ndarray
    drawn: np.ndarray


def said_by(runner: Runner, text: Sequence[int], sampling: Sampling) -> Said:
    """What a graph says of a text."""
    sampler, likeliest, drawn = Sampler(sampling), [], []
    runner.rewind(0)
    for first in range(0, len(text), _ROWS):
        step = runner.feed(text[first : first + _ROWS], every=True)
        likeliest += step["top_ids"][:, 0].tolist()
        drawn += [_draw(sampler, step, row, first + row + 1) for row in range(len(step["top_ids"]))]
    return Said(list(text), np.array(likeliest), np.array(drawn))


def said_by_torch(model: PreTrainedModel, text: Sequence[int], sampling: Sampling) -> Said:
    """What the checkpoint itself says of a text, in float32."""
    logits = torch.from_numpy(reference(model, text)[0])
    values, ids = logits.topk(min(CANDIDATES, logits.shape[1]), dim=1)
    said = {"top_ids": ids, "top_logits": values, "log_normaliser": logits.logsumexp(1), EVERY: logits}
    step = {name: part.numpy() for name, part in said.items()}
    sampler = Sampler(sampling)
    drawn = [_draw(sampler, step, row, row + 1) for row in range(len(text))]
    return Said(list(text), step["top_ids"][:, 0], np.array(drawn))


def agreement(truth: Sequence[Said], runner: Runner, sampling: Sampling) -> Agreement:
    """Compare a graph with what another draft said, drawing likewise, on every position of its texts."""
    others = [said_by(runner, one.text, sampling) for one in truth]
    tokens = sum(len(one.text) for one in truth)
    greedy, sampled = (
        sum(int((getattr(one, what) == getattr(other, what)).sum()) for one, other in zip(truth, others, strict=True))
        for what in ("likeliest", "drawn")
    )
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
        step = runner.feed(text, [len(text) - 1], every=True)
        while len(text) < length:
            text.append(_draw(sampler, step, 0, len(text)))
            step = runner.feed(text[-1:], every=True)
        texts.append(text)
        wrote(1)
    return texts


def _draw(sampler: Sampler, step: dict[str, np.ndarray], row: int, position: int) -> int:
    """The token that a device would draw: from all logits, where its candidates do not suffice."""
    few = step["top_ids"][row], step["top_logits"][row]
    every = step[EVERY][row] if EVERY in step else None
    return sampler.draw(*few, position, step["log_normaliser"][row].item(), every).token
