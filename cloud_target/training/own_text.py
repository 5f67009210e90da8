"""Text that the target itself writes: what the draft will read and guess while it serves.

A draft distilled on corpus text alone has never seen the target's own turns of phrase; on-policy text closes that gap
(Agarwal et al., On-Policy Distillation, arXiv 2306.13649).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from shared.chat import END_OF_TEXT, SPECIAL_TOKENS
from shared.config import Sampling
from shared.errors import InputError

END = SPECIAL_TOKENS.index(END_OF_TEXT)


@dataclass(frozen=True)
class OwnText:
    """Documents that begin as a corpus document does and go on as the target would.

    Attributes:
        documents: token ids, ``uint16 [length]`` each.
        openings: how many tokens at the beginning of each are the corpus's, ``int32 [documents]``.
        temperature, top_p: how each was sampled, ``float32 [documents]``.
    """

    documents: list[np.ndarray]
    openings: np.ndarray
    temperature: np.ndarray
    top_p: np.ndarray

    def save(self, path: str | Path) -> None:
        lengths = np.array([len(document) for document in self.documents], np.int32)
        np.savez(
            path,
            ids=np.concatenate(self.documents),
            lengths=lengths,
            openings=self.openings,
            temperature=self.temperature,
            top_p=self.top_p,
        )

    @classmethod
    def load(cls, path: str | Path) -> OwnText:
        try:
            with np.load(path) as file:
                documents = np.split(file["ids"], file["lengths"].cumsum()[:-1])
                return cls(documents, file["openings"], file["temperature"], file["top_p"])
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"cannot read the target's own text from {path}: {error}") from error

    def part(self, indices: Sequence[int] | np.ndarray) -> OwnText:
        """The documents with these indices."""
        indices = np.asarray(indices, np.int64)
        return OwnText(
            [self.documents[i] for i in indices], self.openings[indices], self.temperature[indices], self.top_p[indices]
        )


class _Buffer(DynamicLayer):
    """A layer's cache in one buffer of fixed length: a step writes its own keys and copies nothing."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._length, self._filled = length, 0

    def update(self, key_states, value_states, cache_kwargs=None):
        if not self._filled:
            self.lazy_initialization(key_states)
            shape = (*key_states.shape[:2], self._length, key_states.shape[3])
            self._keys, self._values = key_states.new_empty(shape), value_states.new_empty(shape)
        end = self._filled + key_states.shape[2]
        self._keys[:, :, self._filled : end] = key_states
        self._values[:, :, self._filled : end] = value_states
        self._filled = end
        self.keys, self.values = self._keys[:, :, :end], self._values[:, :, :end]
        return self.keys, self.values


@torch.inference_mode()
def continue_texts(
    model: PreTrainedModel, openings: np.ndarray, length: int, sampling: Sampling, generator: torch.Generator
) -> np.ndarray:
    """Sample `length` more tokens after openings of equal length ``[b, n]``; returns ``int64 [b, n + length]``."""
    ids = torch.as_tensor(openings.astype(np.int64), device=model.device)
    end = ids.shape[1] + length
    cache = Cache(layers=[_Buffer(end) for _ in range(model.config.num_hidden_layers)])
    text, step = [ids], ids
    over = torch.zeros(len(ids), dtype=torch.bool, device=model.device)
    for _ in range(length):
        logits = model(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1].float()
        step = _draw(logits, sampling, generator)
        text.append(step)
        over |= step[:, 0] == END
        if over.float().mean() > 0.8:  # the few that are left are not worth the batch
            break
    return torch.cat(text, 1).cpu().numpy()


def _draw(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> torch.Tensor:
    """One token a row, ``int64 [b, 1]``. Survivors of top-p are sought among the 256 likeliest."""
    if sampling.temperature == 0:
        return logits.argmax(1, keepdim=True)
    ids = None
    if sampling.top_p < 1:
        logits, ids = logits.topk(min(256, logits.shape[1]))
    p = (logits / sampling.temperature).softmax(1)
    if ids is not None:
        p = p.masked_fill(p.cumsum(1) - p >= sampling.top_p, 0)
    # The index of the smallest of exponential variables with rates p is distributed as p.
    best = (p / torch.empty_like(p).exponential_(generator=generator)).argmax(1, keepdim=True)
    return best if ids is None else ids.gather(1, best)


def write_own_text(
    model: PreTrainedModel,
    documents: Sequence[np.ndarray],
    samplings: Sequence[Sampling],
    length: int,
    tokens: int,
    minutes: float = math.inf,
    longest_opening: int = 160,
    batch: int = 128,
    seed: int = 0,
) -> OwnText:
    """Continue openings of `documents`, of random length, by up to `length` tokens each, until `tokens` are written.

    A batch has openings of one length, so nothing is padded, and one of `samplings`, in turn. Texts are cut after
    the token that ends them.
    """
    generator, random = torch.Generator(model.device).manual_seed(seed), np.random.default_rng(seed)
    started, done = time.monotonic(), 0
    found: list[tuple[np.ndarray, int, Sampling]] = []
    with tqdm(total=tokens, unit=" tokens", unit_scale=True, mininterval=5) as bar:
        for turn, (opening, rows) in enumerate(_openings(documents, batch, longest_opening, random)):
            if done >= tokens or time.monotonic() - started > 60 * minutes:
                break
            sampling = samplings[turn % len(samplings)]
            before = done
            for text in continue_texts(model, rows, length, sampling, generator):
                ends = np.flatnonzero(text[opening:] == END)
                text = text[: opening + ends[0] + 1] if len(ends) else text
                found.append((text.astype(np.uint16), opening, sampling))
                done += len(text) - opening
            bar.update(done - before)
    texts, openings, used = zip(*found, strict=True)
    return OwnText(
        list(texts),
        np.array(openings, np.int32),
        np.array([s.temperature for s in used], np.float32),
        np.array([s.top_p for s in used], np.float32),
    )


def _openings(
    documents: Sequence[np.ndarray], batch: int, longest: int, random: np.random.Generator
) -> Iterator[tuple[int, np.ndarray]]:
    """Batches of openings of one random length, short ones oftener, from documents that are long enough, for ever."""
    lengths = np.array([len(document) for document in documents])
    while True:
        opening = 2 + int((min(longest, lengths.max() - 1) - 2) * random.random() ** 1.5)
        enough = np.flatnonzero(lengths > opening)
        chosen = random.choice(enough, size=min(batch, len(enough)), replace=False)
        yield opening, np.stack([documents[i][:opening] for i in chosen])
