"""The target's distributions over a set of documents, once, so that distillation can pass over them many times."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from cloud_target.training.corpus import id_type, padded_batches, reading
from cloud_target.training.models import run

# Bytes of the logits of one pass: a few copies of them are held. On a CPU more are no faster.
_LOGITS = {"cpu": 1 << 27}
_MORE_LOGITS = 1 << 30


@dataclass(frozen=True)
class SoftTargets:
    """What the target expects after each token of some documents.

    Attributes:
        ids: the tokens themselves, all documents one after the other, ``[N]`` of `id_type`.
        lengths: of the documents, ``int64 [documents]``, N in all.
        top_ids: the likeliest next tokens, best first, ``[N, K]`` of `id_type`.
        top_log_p: their log-probabilities at temperature 1, nats, ``float16 [N, K]``; the rest is the tail.
    """

    ids: np.ndarray
    lengths: np.ndarray
    top_ids: np.ndarray
    top_log_p: np.ndarray

    def save(self, path: str | Path) -> None:
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> SoftTargets:
        """Read what `save` wrote.

        Raises:
            InputError: the file cannot be read.
        """
        with reading(path, "what the target expects") as file, np.load(file) as arrays:
            return cls(*(arrays[field.name] for field in fields(cls)))

    @classmethod
    def join(cls, parts: Sequence[SoftTargets]) -> SoftTargets:
        """All documents of `parts`, in order."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    @property
    def starts(self) -> np.ndarray:
        """Where each document begins, ``int64 [documents]``."""
        return self.lengths.cumsum() - self.lengths


def bearable_tokens(vocabulary: int, device: str) -> int:
    """How many tokens may be run at once so that their logits stay small beside the models, at least one."""
    return max(1, _LOGITS.get(device, _MORE_LOGITS) // (4 * vocabulary))


@torch.inference_mode()
def ask_teacher(
    target: PreTrainedModel,
    documents: Sequence[np.ndarray],
    top: int = 64,
    minutes: float = math.inf,
    batch_tokens: int = 8192,
) -> SoftTargets:
    """Run the target over whole documents, each from its own beginning.

    If `minutes` are over first, the documents of the batches that are done are what is returned.
    """
    batch_tokens = min(batch_tokens, bearable_tokens(target.config.get_text_config().vocab_size, target.device.type))
    context = target.config.max_position_embeddings
    top, kind = min(top, target.config.vocab_size), id_type(target.config.vocab_size)
    batches = list(padded_batches(documents, batch_tokens, context))
    np.random.default_rng(0).shuffle(batches)  # so that an early end favours no length
    started, parts = time.monotonic(), []
    total = sum(min(len(document), context) for document in documents)
    with tqdm(total=total, unit=" tokens", unit_scale=True, mininterval=5, desc="teacher") as bar:
        for indices, ids in batches:
            if time.monotonic() - started > 60 * minutes:
                break
            lengths = np.array([min(len(documents[i]), context) for i in indices])
            inside = torch.from_numpy(np.arange(ids.shape[1]) < lengths[:, None]).to(target.device)
            logits = run(target, ids)[1][inside]
            values, best = logits.topk(top, dim=1)
            values = values - logits.logsumexp(1, keepdim=True)
            ids_inside = ids[inside.cpu().numpy()].astype(kind)
            parts.append((ids_inside, lengths, best.cpu().numpy().astype(kind), values.half().cpu().numpy()))
            bar.update(int(lengths.sum()))
    return SoftTargets(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
