"""Held-out text of the target, with its own tokens there, and how many of them a draft would have written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from cloud_target.distil.writing import Writer
from cloud_target.engine.scoring.score import Row, score
from cloud_target.export.candidates import CANDIDATES
from cloud_target.training.corpus import padded_batches, reading
from cloud_target.training.models import run
from cloud_target.training.own_text import LONGEST_OPENING
from cloud_target.training.teacher import bearable_tokens
from shared.config import Sampling
from shared.sampling import Sampler

# How it is written, and how x and y are drawn: greedily, and as people do by default.
SAMPLINGS = (Sampling(temperature=0.0, top_p=1.0), Sampling(temperature=0.7, top_p=0.9))
# Tokens of a text at most, and texts at once.
_LENGTH, _BATCH = 128, 12


@dataclass(frozen=True)
class HeldOut:
    """Texts that the target wrote in one way.

    Attributes:
        sampling: the way; each text has a seed of its own, its index.
        texts: token ids, ``[length]`` each.
        openings: how many tokens at the beginning of each are a document's.
        own: the target's own tokens behind the opening of each, ``int64 [length - opening]`` each.
    """

    sampling: Sampling
    texts: list[np.ndarray]
    openings: list[int]
    own: list[np.ndarray]

    def __len__(self) -> int:
        """Tokens that are compared."""
        return sum(map(len, self.own))

    def save(self, path: Path) -> None:
        lengths = np.array([len(text) for text in self.texts], np.int64)
        openings = np.array(self.openings, np.int64)
        np.savez(path, ids=np.concatenate(self.texts), lengths=lengths, openings=openings, own=np.concatenate(self.own))

    @classmethod
    def load(cls, path: Path, sampling: Sampling) -> HeldOut:
        """Read what `save` wrote.

        Raises:
            InputError: the file cannot be read.
        """
        with reading(path, "the held-out text") as file, np.load(file) as arrays:
            lengths, openings = arrays["lengths"], arrays["openings"]
            texts = np.split(arrays["ids"], lengths.cumsum()[:-1])
            own = np.split(arrays["own"], (lengths - openings).cumsum()[:-1])
            return cls(sampling, texts, openings.tolist(), own)


def batch(tokens: int) -> int:
    """Texts that are written at once, so that there are openings of two lengths or more."""
    return min(max(tokens // (2 * _LENGTH), 2), _BATCH)


@torch.inference_mode()
def write(target: PreTrainedModel, writer: Writer, sampling: Sampling, context: int, seed: int, tokens: int) -> HeldOut:
    """Let the target write beside what is learned from, and say what it would write at each of its tokens."""
    room = min(context, LONGEST_OPENING + _LENGTH)
    written = writer.write([sampling], _LENGTH, tokens, room, batch(tokens), seed)
    openings = [int(opening) for opening in written.openings]
    own = []
    for number, (text, opening) in enumerate(zip(written.documents, openings, strict=True)):
        logits = run(target, text[None].astype(np.int64))[1][0, opening - 1 : len(text) - 1].cpu()
        drawn = replace(sampling, seed=number)
        own.append(score(logits, [Row(position, drawn) for position in range(opening, len(text))]).own)
    return HeldOut(sampling, written.documents, openings, own)


@torch.inference_mode()
def agreement(
    draft: PreTrainedModel, held: HeldOut, vocabulary: int, between: Callable[[], None] = lambda: None
) -> float:
    """The share of x = y: of the tokens that a draft would have written too, with the same noise, as the edge draws.

    Args:
        draft: its logits beyond `vocabulary` are of no token.
        held: the text before each token is the target's.
        between: called now and then, so that it can end this.
    """
    same = 0
    most = bearable_tokens(vocabulary, draft.device.type)
    for indices, ids in padded_batches(held.texts, most, max(map(len, held.texts))):
        between()
        logits = run(draft, ids)[1][..., :vocabulary]
        values, best = (part.cpu().numpy() for part in logits.topk(min(CANDIDATES, vocabulary), dim=-1))
        every, normaliser = logits.cpu().numpy(), logits.logsumexp(-1).tolist()
        for row, index in enumerate(indices):
            opening, sampler = held.openings[index], Sampler(replace(held.sampling, seed=index))
            for place, own in enumerate(held.own[index].tolist()):
                at = opening + place
                few, all_of_them = (best[row, at - 1], values[row, at - 1]), every[row, at - 1]
                same += sampler.draw(*few, at, normaliser[row][at - 1], all_of_them).token == own
    return same / len(held)
