"""How good the models are, and how well a draft agrees with its target, on held-out documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional as F

from cloud_target.training.corpus import encode_documents, read_documents


def document_batches(
    tokenizer: Tokenizer, path: str | Path, context: int, limit: int | None = None, batch: int = 16
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of whole documents of like length: ids ``[b, n]`` (int64), zero-padded, and mask ``[b, n]`` (bool)."""
    documents = encode_documents(tokenizer, read_documents(path)[:limit])
    documents = sorted((doc[:context] for doc in documents), key=len)
    for first in range(0, len(documents), batch):
        group = documents[first : first + batch]
        ids = np.zeros((len(group), max(map(len, group))), np.int64)
        mask = np.zeros(ids.shape, bool)
        for row, doc in enumerate(group):
            ids[row, : len(doc)] = doc
            mask[row, : len(doc)] = True
        yield torch.from_numpy(ids), torch.from_numpy(mask)


@torch.inference_mode()
def bits_per_byte(model, tokenizer: Tokenizer, path: str | Path, device: str = "cpu", limit: int | None = None) -> float:
    """Cross-entropy of the documents of `path` in bits per UTF-8 byte of their text."""
    nats = 0.0
    for ids, mask in document_batches(tokenizer, path, model.config.max_position_embeddings, limit):
        ids, mask = ids.to(device), mask.to(device)
        logits = model(input_ids=ids, use_cache=False).logits.float()
        losses = F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
        nats += float(losses[mask[:, 1:]].sum())
    text_bytes = sum(len(doc.encode()) for doc in read_documents(path)[:limit])
    return nats / text_bytes / np.log(2)
