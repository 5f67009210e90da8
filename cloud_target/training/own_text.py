"""Text that the target itself writes: what the draft will read and guess while it serves.

A draft distilled on corpus text alone has never seen the target's own turns of phrase; on-policy text closes that gap
(Agarwal et al., On-Policy Distillation, arXiv 2306.13649).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from cloud_target.engine.hf.typed import cache_argument, only_logits
from cloud_target.training.corpus import reading
from cloud_target.training.models import run
from shared.config import Sampling
from shared.errors import InputError

# An opening is at least this long: one token to begin with, and one that says something.
SHORTEST_OPENING = 2
# And at most this long.
LONGEST_OPENING = 160
# Bytes of keys and values that are kept at once: many texts of a large model would take more than the model.
_KEPT = {"cpu": 1 << 30}
_MORE_KEPT = 8 << 30
# Tokens that are tried, to say how long it will take.
_TRIED = 8
# Mostly the two ways in which people sample; a little greedy, where texts of small models run in circles.
OWN_SAMPLINGS = tuple(
    Sampling(temperature=t, top_p=p)
    for t, p in ((0.7, 0.9), (1.0, 1.0), (0.7, 0.9), (1.0, 1.0), (0.7, 0.9), (0.0, 1.0), (1.0, 1.0))
)


@dataclass(frozen=True)
class OwnText:
    """Documents that begin as a corpus document does and go on as the target would.

    Attributes:
        documents: token ids, ``[length]`` of `corpus.id_type` each.
        openings: how many tokens at the beginning of each are the corpus's, ``int32 [documents]``.
        sources: index of the corpus document that each begins as, ``int32 [documents]``.
        temperature, top_p: how each was sampled, ``float32 [documents]``.
    """

    documents: list[np.ndarray]
    openings: np.ndarray
    sources: np.ndarray
    temperature: np.ndarray
    top_p: np.ndarray

    @classmethod
    def of(cls, found: Sequence[tuple[np.ndarray, int, int, Sampling]]) -> OwnText:
        """Of texts, each with its opening's length, its source, and how it was sampled."""
        texts, openings, sources, used = zip(*found, strict=True)
        return cls(
            list(texts),
            np.array(openings, np.int32),
            np.array(sources, np.int32),
            np.array([s.temperature for s in used], np.float32),
            np.array([s.top_p for s in used], np.float32),
        )

    def save(self, path: str | Path) -> None:
        lengths = np.array([len(document) for document in self.documents], np.int32)
        np.savez(
            path,
            ids=np.concatenate(self.documents),
            lengths=lengths,
            openings=self.openings,
            sources=self.sources,
            temperature=self.temperature,
            top_p=self.top_p,
        )

    @classmethod
    def load(cls, path: str | Path) -> OwnText:
        """Read what `save` wrote.

        Raises:
            InputError: the file cannot be read.
        """
        with reading(path, "the target's own text") as file, np.load(file) as arrays:
            documents = np.split(arrays["ids"], arrays["lengths"].cumsum()[:-1])
            return cls(documents, *(arrays[name] for name in ("openings", "sources", "temperature", "top_p")))


class _Buffer(DynamicLayer):
    """A layer's cache in one buffer of fixed length: a step writes its own keys and copies nothing."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._length, self._filled = length, 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self._filled:
            # What `lazy_initialization` would set, whose arguments differ between versions of transformers.
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            shape = (*key_states.shape[:2], self._length, key_states.shape[3])
            self._keys, self._values = key_states.new_empty(shape), value_states.new_empty(shape)
        end = self._filled + key_states.shape[2]
        self._keys[:, :, self._filled : end] = key_states
        self._values[:, :, self._filled : end] = value_states
        self._filled = end
        self.keys, self.values = self._keys[:, :, :end], self._values[:, :, :end]
        return self.keys, self.values


def bearable_texts(model: PreTrainedModel, length: int) -> int:
    """How many texts of `length` tokens may be written at once so that keys and values stay small, at least one."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    of_token = 2 * config.num_hidden_layers * (getattr(config, "num_key_value_heads", None) or heads) * size
    most = _KEPT.get(model.device.type, _MORE_KEPT)
    return max(1, most // (of_token * model.dtype.itemsize * length))


@torch.inference_mode()
def continue_texts(
    model: PreTrainedModel,
    openings: np.ndarray,
    length: int,
    sampling: Sampling,
    ends: Sequence[int],
    generator: torch.Generator,
) -> np.ndarray:
    """Sample `length` more tokens after openings of equal length ``[b, n]``; returns ``int64 [b, n + length]``.

    Fewer where most texts have reached one of the tokens `ends`.
    """
    stops = torch.tensor(list(ends), dtype=torch.int64, device=model.device)
    over = torch.zeros(len(openings), dtype=torch.bool, device=model.device)

    def choose(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        step = draw(logits, sampling, generator)
        return step, over.logical_or_(torch.isin(step[:, 0], stops))

    return write_on(model, openings, length, choose)


@torch.inference_mode()
def write_on(
    model: PreTrainedModel,
    openings: np.ndarray,
    length: int,
    choose: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> np.ndarray:
    """Write `length` more tokens after openings of equal length ``[b, n]``; returns ``int64 [b, n + length]``.

    Args:
        choose: the next tokens ``int64 [b, 1]`` and which texts are over ``bool [b]``, of logits ``float32 [b,
            vocabulary]``. Once most are over, no more is written.
    """
    ids = torch.as_tensor(openings.astype(np.int64), device=model.device)
    end = ids.shape[1] + length
    cache = Cache(layers=[_Buffer(end) for _ in range(model.config.get_text_config().num_hidden_layers)])
    kept: dict[str, Any] = {str(cache_argument(model)): cache, **only_logits(model, 1)}
    text, step = [ids], ids
    for _ in range(length):
        step, over = choose(model(input_ids=step, use_cache=True, **kept).logits[:, -1].float())
        text.append(step)
        if over.float().mean() > 0.8:  # the few that are left are not worth the batch
            break
    return torch.cat(text, 1).cpu().numpy()


def draw(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> torch.Tensor:
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
    ends: Sequence[int],
    minutes: float = math.inf,
    longest_opening: int = LONGEST_OPENING,
    context: int | None = None,
    batch: int = 128,
    seed: int = 0,
) -> OwnText:
    """Continue openings of `documents`, of random length, by up to `length` tokens each, until `tokens` are written.

    A batch has openings of one length, so nothing is padded, and one of `samplings`, in turn. Documents take turns,
    too: none begins two texts before all that are long enough have begun one. Texts are cut after the first of the
    tokens `ends`, and fit in the model's context, or in `context` if that is shorter.

    Raises:
        InputError: no document is long enough to be an opening.
    """
    room: float = min(getattr(model.config, "max_position_embeddings", None) or math.inf, context or math.inf)
    longest_opening = int(min(longest_opening, room // 2))
    batch = min(batch, bearable_texts(model, longest_opening + length))
    generator, random = torch.Generator(model.device).manual_seed(seed), np.random.default_rng(seed)
    started, done = time.monotonic(), 0
    found: list[tuple[np.ndarray, int, int, Sampling]] = []
    with tqdm(total=tokens, unit=" tokens", unit_scale=True, mininterval=5, desc="own text") as bar:
        for turn, (opening, chosen) in enumerate(_openings(documents, batch, longest_opening, random)):
            if done >= tokens or time.monotonic() - started > 60 * minutes:
                break
            sampling = samplings[turn % len(samplings)]
            before = done
            rows = np.stack([documents[i][:opening] for i in chosen])
            more = int(min(length, room - opening))
            for source, text in zip(chosen, continue_texts(model, rows, more, sampling, ends, generator), strict=True):
                over = np.flatnonzero(np.isin(text[opening:], ends))
                text = text[: opening + over[0] + 1] if len(over) else text
                found.append((text.astype(rows.dtype), opening, source, sampling))
                done += len(text) - opening
            bar.update(done - before)
    return OwnText.of(found)


def _openings(
    documents: Sequence[np.ndarray], batch: int, longest: int, random: np.random.Generator
) -> Iterator[tuple[int, np.ndarray]]:
    """Random lengths of openings, short ones oftener, and documents that are longer, for ever."""
    lengths = np.array([len(document) for document in documents])
    longest = min(longest, lengths.max(initial=0) - 1)
    if longest < SHORTEST_OPENING:
        raise InputError(
            f"none of {len(lengths)} documents is longer than {SHORTEST_OPENING} tokens; give longer documents"
        )
    begun = np.zeros(len(lengths), int)
    while True:
        opening = SHORTEST_OPENING + int((longest - SHORTEST_OPENING) * random.random() ** 1.5)
        enough = random.permutation(np.flatnonzero(lengths > opening))
        chosen = enough[np.argsort(begun[enough], kind="stable")][:batch]
        begun[chosen] += 1
        yield opening, chosen


def beginnings(documents: Sequence[np.ndarray], batch: int) -> np.ndarray:
    """Openings of one length that as many texts may begin with, or fewer, ``int64 [batch, n]``."""
    opening = min(_TRIED, *(len(document) for document in documents))
    return np.stack([document[:opening] for document in documents[:batch]]).astype(np.int64)


def writing_speed(model: PreTrainedModel, rows: np.ndarray, context: int) -> float:
    """Tokens a second that a model writes after openings ``[b, n]``, and then reads again; tried on a few."""
    opening = rows.shape[1]
    started = time.monotonic()
    generator = torch.Generator(model.device).manual_seed(0)
    text = continue_texts(model, rows, min(_TRIED, context - opening), Sampling(), [], generator)
    with torch.inference_mode():
        run(model, text)
    return text[:, opening:].size / (time.monotonic() - started)
