"""How good the models are, and how well a draft agrees with its target, on held-out documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional as F
from transformers import PreTrainedModel

from cloud_target.export.endings import end_ids
from cloud_target.training.corpus import encode_corpus, encode_documents, padded_batches, read_documents
from cloud_target.training.label import Rows, Steps, label
from cloud_target.training.models import run
from cloud_target.training.own_text import write_own_text
from shared.config import Sampling

# Greedy, the default, and the target's whole distribution.
SETTINGS = (Sampling(temperature=0.0, top_p=1.0), Sampling(temperature=0.7, top_p=0.9), Sampling(1.0, top_p=1.0))


@torch.inference_mode()
def bits_per_byte(
    model: PreTrainedModel, tokenizer: Tokenizer, path: str | Path, device: str = "cpu", limit: int | None = None
) -> float:
    """Cross-entropy of the documents of `path` in bits per UTF-8 byte of their text, each from its own beginning.

    Documents longer than the context are left out.
    """
    texts = read_documents(path)[:limit]
    context = model.config.max_position_embeddings
    pairs = [(d, len(t.encode())) for d, t in zip(encode_documents(tokenizer, texts), texts, strict=True)]
    pairs = [(document, size) for document, size in pairs if len(document) <= context]
    documents = [document for document, _ in pairs]
    nats = 0.0
    for indices, batch in padded_batches(documents, 8192, context):
        ids = torch.from_numpy(batch).to(device)
        losses = F.cross_entropy(run(model, ids)[1][:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
        for row, index in enumerate(indices):
            nats += float(losses[row, : len(documents[index]) - 1].sum())
    return nats / sum(size for _, size in pairs) / float(np.log(2))


@dataclass(frozen=True)
class DevText:
    """Held-out text on which draft and target are compared under one way of sampling.

    Attributes:
        file: the corpus file's name.
        kind: "documents" (the corpus's text) or "own text" (the target's, after openings of documents).
        temperature, top_p: how x and y are drawn, and how own text was.
    """

    file: str
    kind: str
    temperature: float
    top_p: float

    @property
    def sampling(self) -> Sampling:
        return Sampling(temperature=self.temperature, top_p=self.top_p)


def label_dev(
    draft: Steps,
    target: PreTrainedModel,
    tokenizer: Tokenizer,
    paths: Sequence[str | Path],
    documents: int = 280,
    run_length: int = 128,
    settings: Sequence[Sampling] = SETTINGS,
    seed: int = 0,
) -> list[tuple[DevText, Rows]]:
    """Label the draft's steps on held-out documents of each file, and on runs of the target's own text after them.

    Own text is labelled with the sampling that wrote it, documents (half as many) with each of `settings`.
    """
    found, number, ends = [], 0, end_ids((target.generation_config, target.config), tokenizer)
    for path in paths:
        corpus = encode_corpus(tokenizer, [path], seed)[:documents]
        name = Path(path).name
        half = corpus[: documents // 2]
        rows = label(draft, target, half, [list(settings)] * len(half), first_document=number, seed=seed)
        for s in settings:
            chosen = (rows.temperature == np.float32(s.temperature)) & (rows.top_p == np.float32(s.top_p))
            found.append((DevText(name, "documents", s.temperature, s.top_p), rows.where(chosen)))
        number += len(half)
        for s in settings:
            tokens = len(corpus) * run_length * 3 // 4
            own = write_own_text(target, corpus, [s], run_length, tokens, ends, batch=140, seed=seed + 1)
            each = [[s]] * len(own.documents)
            rows = label(draft, target, own.documents, each, own.openings, first_document=number, seed=seed + 1)
            found.append((DevText(name, "own text", s.temperature, s.top_p), rows))
            number += len(own.documents)
    return found


def agreement_line(text: DevText, rows: Rows) -> dict[str, object]:
    """What `text` is, with how well the draft agrees with the target on it.

    `agreement` is the share of x = y, `tv` the mean total variation at temperature 1, `typical` the share that is
    off-target by the typical criterion, `unlikely` that of words which the target would hardly have written, `nll` and
    `own_nll` the target's nats a token for x and for y.
    """
    numbers = {
        "agreement": 1 - rows.off_strict.mean(),
        "typical": rows.off_typical.mean(),
        "unlikely": rows.unlikely.mean(),
        "tv": rows.tv.mean(),
        "nll": rows.nll.mean(),
        "own_nll": rows.own_nll.mean(),
    }
    return asdict(text) | {"tokens": len(rows)} | {name: round(float(value), 4) for name, value in numbers.items()}


def agreement(labelled: Sequence[tuple[DevText, Rows]]) -> list[dict[str, object]]:
    """A line for each text, then, for each kind and sampling, all files pooled by token, and the mean of the files."""
    lines = [agreement_line(text, rows) for text, rows in labelled]
    summaries = []
    for kind in ("documents", "own text"):
        for s in dict.fromkeys((text.temperature, text.top_p) for text, _ in labelled):
            group = [(t, r) for t, r in labelled if (t.kind, t.temperature, t.top_p) == (kind, *s)]
            if not group:
                continue
            pooled = agreement_line(replace(group[0][0], file="pooled"), Rows.join([rows for _, rows in group]))
            members = [entry for entry in lines if (entry["kind"], entry["temperature"], entry["top_p"]) == (kind, *s)]
            means = {
                key: round(float(np.mean([member[key] for member in members])), 4)
                for key in ("agreement", "typical", "unlikely", "tv", "nll", "own_nll")
            }
            summaries += [pooled, pooled | {"file": "mean of files"} | means]
    return lines + summaries


def as_table(lines: Sequence[dict[str, object]]) -> str:
    """The lines of `agreement` as a Markdown table."""
    head = (
        "| text | kind | temperature, top-p | tokens | x = y | typical off-target | unlikely x | TV | nats x | nats y |"
    )
    body = [
        f"| {e['file']} | {e['kind']} | {e['temperature']:g}, {e['top_p']:g} | {e['tokens']:,} | "
        f"{e['agreement']:.3f} | {e['typical']:.3f} | {e['unlikely']:.3f} | {e['tv']:.3f} | {e['nll']:.3f} | "
        f"{e['own_nll']:.3f} |"
        for e in lines
    ]
    return "\n".join([head, "|---|---|---|---|---|---|---|---|---|---|", *body])
