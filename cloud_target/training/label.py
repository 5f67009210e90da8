"""Rows for the verifier: what the edge would see at a token, and whether the target would object.

A row is made by the functions that serve: the edge's sampler and features, and the target's scoring. The text before
the token is given (a corpus document, or the target's own text), as it is on the target's own path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from cloud_target.engine.scoring.score import Row, score
from cloud_target.export.candidates import EVERY
from cloud_target.training.corpus import padded_batches, reading
from cloud_target.training.models import run
from cloud_target.training.steps import Steps
from cloud_target.training.teacher import bearable_tokens
from shared.config import Criterion, Sampling
from shared.criteria import off_target
from shared.features import SCALARS, write_features
from shared.repetition import repeats
from shared.sampling import Sampler


@dataclass(frozen=True)
class Rows:
    """Labelled draft steps, N of them.

    Attributes:
        features: verifier inputs, ``float32 [N, SCALARS + hidden]``.
        off_typical, off_strict: is the drawn token an error by each criterion, ``bool [N]``.
        unlikely: is it a word that the target would hardly have written, ``bool [N]``.
        repeating: does it go on with a repetition of the text before it, ``bool [N]``.
        document: index of the document, ``int32 [N]``; rows are split by it.
        position: of the token, ``int32 [N]``.
        token, second, third: the drawn token, and those that were nearly drawn, ``int32 [N]``.
        own: the target's own token, ``int32 [N]``.
        temperature, top_p: in use, ``float32 [N]``.
        nll, own_nll: -ln p1 of the drawn and of the target's own token, nats, ``float32 [N]``.
        tv: total variation between p and q at temperature 1, where all but the draft's candidates count as one token,
            ``float32 [N]``.
    """

    features: np.ndarray
    off_typical: np.ndarray
    off_strict: np.ndarray
    unlikely: np.ndarray
    repeating: np.ndarray
    document: np.ndarray
    position: np.ndarray
    token: np.ndarray
    second: np.ndarray
    third: np.ndarray
    own: np.ndarray
    temperature: np.ndarray
    top_p: np.ndarray
    nll: np.ndarray
    own_nll: np.ndarray
    tv: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    def where(self, mask: np.ndarray) -> Rows:
        """The rows that `mask` (bool or indices) chooses."""
        return Rows(*(getattr(self, field.name)[mask] for field in fields(self)))

    def save(self, path: str | Path) -> None:
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> Rows:
        """Read what `save` wrote.

        Raises:
            InputError: the file cannot be read.
        """
        with reading(path, "the verifier's rows") as file, np.load(file) as arrays:
            return cls(*(arrays[field.name] for field in fields(cls)))

    @classmethod
    def load_one(cls, path: str | Path, name: str) -> np.ndarray:
        """One of the arrays of what `save` wrote, without the others; raises as `load`."""
        with reading(path, "the verifier's rows") as file, np.load(file) as arrays:
            found: np.ndarray = arrays[name]
        return found

    @classmethod
    def gather(cls, parts: Iterable[Rows], count: int) -> Rows:
        """As `join`, of parts that have so many rows together, in hardly more memory than the outcome takes: each part
        may be forgotten before the next one is made."""
        features, filled = np.empty((count, 0), np.float32), 0
        rest: list[Rows] = []
        for part in parts:
            if not rest:
                features = np.empty((count, part.features.shape[1]), np.float32)
            features[filled : filled + len(part)] = part.features
            filled += len(part)
            rest.append(replace(part, features=np.empty((len(part), 0), np.float32)))
        return replace(cls.join(rest), features=features)

    @classmethod
    def join(cls, parts: Sequence[Rows]) -> Rows:
        """All rows of `parts`; their documents must be numbered apart already."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@torch.inference_mode()
def label(
    draft: Steps,
    target: PreTrainedModel,
    documents: Sequence[np.ndarray],
    samplings: Sequence[Sequence[Sampling]],
    starts: Sequence[int] | np.ndarray | None = None,
    first_document: int = 0,
    seed: int = 0,
    batch_tokens: int = 4096,
) -> Rows:
    """Label a draft step at every token of `documents` from `starts` on.

    Args:
        draft: how the draft's steps are read.
        target: of the draft's vocabulary.
        documents: token ids, ``uint16 [length]`` each.
        samplings: those each document is labelled with, one row a token for each; their seeds are replaced by one of
            the document's own.
        starts: first position to label in each, at least 1; 1 if not given.
        first_document: number of the first document in `Rows.document`.
        seed: of the noise.
        batch_tokens: how much text the target reads at once, or less, so that its logits stay small.
    """
    starts = np.ones(len(documents), int) if starts is None else np.maximum(starts, 1)
    context = min(draft.context, target.config.max_position_embeddings)
    batch_tokens = min(batch_tokens, bearable_tokens(target.config.get_text_config().vocab_size, target.device.type))
    wanted = [range(int(start) - 1, min(len(text), context) - 1) for text, start in zip(documents, starts, strict=True)]
    total = sum(len(steps) * len(ways) for steps, ways in zip(wanted, samplings, strict=True))

    def pieces() -> Iterator[Rows]:
        with tqdm(total=sum(map(len, documents)), unit=" tokens", unit_scale=True, mininterval=5, desc="label") as bar:
            for indices, ids in padded_batches(documents, batch_tokens, context):
                steps = [wanted[index] for index in indices]
                logits = run(target, ids, chosen=_marked(steps, ids.shape))[1].cpu()
                for index, of_text in zip(indices, logits.split([len(few) for few in steps]), strict=True):
                    ways = [
                        replace(way, seed=seed * 1_000_003 + (first_document + index) * 16 + number)
                        for number, way in enumerate(samplings[index])
                    ]
                    text = documents[index][:context]
                    yield from _label_text(draft, of_text, text, wanted[index], ways, first_document + index)
                bar.update(sum(len(documents[i]) for i in indices))

    return Rows.gather(pieces(), total)


def _marked(steps: Sequence[range], shape: tuple[int, ...]) -> np.ndarray:
    """Where these steps of each row are, ``bool [b, n]``."""
    marks = np.zeros(shape, bool)
    for row, few in zip(marks, steps, strict=True):
        row[few.start : few.stop] = True
    return marks


def _label_text(
    draft: Steps, logits: torch.Tensor, text: np.ndarray, steps: range, ways: Sequence[Sampling], document: int
) -> Iterator[Rows]:
    """Rows of one text: way by way, so that a text that is read in one piece has them in order.

    Args:
        logits: the target's, of the steps, ``float32 [len(steps), vocabulary]``.
        text: token ids.
        steps: of the text that are labelled.
        ways: in which tokens are drawn.
        document: of the rows.
    """
    if not len(steps):
        return
    ids, at_once = text.astype(np.int64), bearable_tokens(logits.shape[1], "cpu")
    found: list[list[Rows]] = [[] for _ in ways]
    at = 0
    for outputs in draft.pieces(ids, at_once):
        count = len(outputs["hidden"])
        first, end = max(at, steps.start), min(at + count, steps.stop)
        if end > first:
            some = {name: array[first - at : end - at] for name, array in outputs.items()}
            answers = logits[first - steps.start : end - steps.start]
            for rows, way in zip(found, ways, strict=True):
                rows.append(_label_steps(some, answers, text.tolist(), first + 1, way, document))
        at += count
    for rows in found:
        yield from rows


def _label_steps(
    outputs: dict[str, np.ndarray],
    target_logits: torch.Tensor,
    text: list[int],
    first_position: int,
    sampling: Sampling,
    document: int,
) -> Rows:
    """Rows of some steps of a document under one sampling.

    Args:
        outputs: the draft's, n steps of each, see `steps.py`.
        target_logits: ``float32 [n, vocabulary]``.
        text: ids of the document.
        first_position: of the first token drawn.
        sampling, document: of the rows.
    """
    ids, values, hidden = outputs["top_ids"], outputs["top_logits"], outputs["hidden"]
    normaliser, entropy = outputs["log_normaliser"].tolist(), outputs["entropy"].tolist()
    count, every = len(ids), outputs.get(EVERY)
    features = np.empty((count, SCALARS + hidden.shape[1]), np.float32)
    sampler = Sampler(sampling)
    questions, repeating = [], np.empty(count, bool)
    second, third = np.empty((2, count), np.int32)
    for i in range(count):
        logits = None if every is None else every[i]
        draw = sampler.draw(ids[i], values[i], first_position + i, normaliser[i], logits)
        repeating[i] = repeats(text, draw.token, first_position + i)
        second[i], third[i] = draw.rival, draw.third
        write_features(features[i], hidden[i], values[i], normaliser[i], entropy[i], draw, sampling.temperature)
        questions.append(Row(position=first_position + i, sampling=sampling, given=draw.token))
    scores = score(target_logits, questions)

    q = np.exp(values - outputs["log_normaliser"][:, None])
    p = target_logits.softmax(1).gather(1, torch.from_numpy(ids)).numpy()
    tv = (np.abs(p - q).sum(1) + np.abs(p.sum(1) - q.sum(1))) / 2
    return Rows(
        features=features,
        off_typical=off_target(Criterion.TYPICAL, scores.off_strict, scores.unlikely, repeating),
        off_strict=scores.off_strict,
        unlikely=scores.unlikely,
        repeating=repeating,
        document=np.full(count, document, np.int32),
        position=np.arange(first_position, first_position + count, dtype=np.int32),
        token=np.array([question.given for question in questions], np.int32),
        second=second,
        third=third,
        own=scores.own.astype(np.int32),
        temperature=np.full(count, sampling.temperature, np.float32),
        top_p=np.full(count, sampling.top_p, np.float32),
        nll=scores.nll.astype(np.float32),
        own_nll=scores.own_nll.astype(np.float32),
        tv=tv.astype(np.float32),
    )
