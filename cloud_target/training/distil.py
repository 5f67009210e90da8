"""Distil the pocket draft: make its next word the target's as often as can be.

The loss is KL(p || q) + TV at temperature 1, and TV at temperature 0.7, where most text is written. Total variation is
what coupled sampling pays for: Pr[x = y] >= (1 - TV) / (1 + TV) (Daliri, Musco, Suresh, arXiv 2408.07978); KL keeps
q's tail honest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import LlamaForCausalLM, PreTrainedModel

from cloud_target.engine.hf.typed import move, token_embeddings
from cloud_target.training.optim import Optimiser, Schedule
from cloud_target.training.packing import pack_rows, row_places
from cloud_target.training.pretrain import Shape, save
from cloud_target.training.settings import RunSettings
from cloud_target.training.teacher import SoftTargets

WARM = 0.7
_TINY = 1e-6


@dataclass(frozen=True)
class Batch:
    """Rows of packed documents with what the target expects after each token.

    Attributes:
        ids: ``int64 [b, n]``, padded with 0 at the end.
        inside: not padding, ``bool [b, n]``.
        top_ids, top_log_p: as in `SoftTargets`, ``int64 [b, n, K]`` and ``float32 [b, n, K]``.
    """

    ids: torch.Tensor
    inside: torch.Tensor
    top_ids: torch.Tensor
    top_log_p: torch.Tensor


def batches(
    targets: SoftTargets, rows: int, width: int, random: np.random.Generator, device: str = "cpu"
) -> Iterator[Batch]:
    """Batches of `rows` packed rows of `width` tokens, epoch after epoch, for ever."""
    starts = targets.starts
    waiting: list[np.ndarray] = []
    while True:
        for row in pack_rows(targets.lengths, width, random):
            waiting.append(row_places(row, starts, targets.lengths, width))
            if len(waiting) == rows:
                places = np.stack(waiting)
                waiting = []
                arrays = targets.ids[places], places >= 0, targets.top_ids[places], targets.top_log_p[places]
                kinds = np.int64, bool, np.int64, np.float32
                yield Batch(*(torch.from_numpy(a.astype(k)).to(device) for a, k in zip(arrays, kinds, strict=True)))


def loss_terms(logits: torch.Tensor, top_ids: torch.Tensor, top_log_p: torch.Tensor) -> torch.Tensor:
    """KL(p || q), TV(p, q), both at temperature 1, and TV at `WARM`, for each row, ``float32 [3, ...]``.

    Args:
        logits: the draft's, ``float32 [..., vocabulary]``.
        top_ids, top_log_p: the target's likeliest tokens, ``[..., K]``. What is beyond them counts as one token at
            temperature 1, and as nothing at `WARM`.
    """
    log_q = logits.gather(-1, top_ids) - logits.logsumexp(-1, keepdim=True)
    p, q = top_log_p.exp(), log_q.exp()
    tail_p = (1 - p.sum(-1)).clamp(min=_TINY)
    tail_q = (1 - q.sum(-1)).clamp(min=_TINY)
    kl = (p * (top_log_p - log_q)).sum(-1) + tail_p * (tail_p.log() - tail_q.log())
    tv = ((p - q).abs().sum(-1) + (tail_p - tail_q).abs()) / 2
    warm = ((top_log_p / WARM).softmax(-1) - (log_q / WARM).softmax(-1)).abs().sum(-1) / 2
    return torch.stack((kl, tv, warm))


def draft_like(target: PreTrainedModel, shape: Shape) -> LlamaForCausalLM:
    """A fresh draft of `shape` that knows the target's vocabulary: its (tied) embedding is the target's, projected on
    the principal directions."""
    draft = shape.build(target.config.vocab_size)
    embedding = token_embeddings(target).detach().float().cpu()
    directions = torch.linalg.svd(embedding - embedding.mean(0), full_matrices=False).Vh[: shape.hidden]
    with torch.no_grad():
        token_embeddings(draft)[:, : len(directions)] = embedding @ directions.T
    return draft


def distil(
    target: PreTrainedModel,
    tokenizer: Tokenizer,
    targets: SoftTargets,
    dev: SoftTargets,
    shape: Shape,
    settings: RunSettings,
    out: str | Path,
    width: int = 512,
    evaluations: int = 6,
) -> LlamaForCausalLM:
    """Train a draft of `shape` on the target's distributions, and save it (bf16 safetensors) under `out`.

    Rows are `width` tokens long, and `shape.context` for the last `settings.long_share` of the run.
    """
    torch.manual_seed(settings.seed)
    random = np.random.default_rng(settings.seed)
    draft = move(draft_like(target, shape), settings.device)
    forward = torch.compile(draft)
    optimiser = Optimiser(draft, settings.peak)
    schedule = Schedule(settings.tokens, settings.minutes)
    next_evaluation = 1 / evaluations
    smoothed = None
    with tqdm(total=1.0, bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}", mininterval=5, miniters=0) as bar:
        for length, until in ((width, 1 - settings.long_share), (shape.context, 1.0)):
            stream = batches(targets, max(1, settings.batch_tokens // length), length, random, settings.device)
            while schedule.progress < until:
                batch = next(stream)
                with torch.autocast(settings.device, torch.bfloat16, enabled=settings.device != "cpu"):
                    logits = forward(input_ids=batch.ids, use_cache=False).logits
                terms = loss_terms(logits.float(), batch.top_ids, batch.top_log_p)[:, batch.inside].mean(1)
                terms.sum().backward()
                optimiser.step(schedule.scale)
                schedule.seen += int(batch.inside.sum())
                smoothed = terms.detach() if smoothed is None else 0.95 * smoothed + 0.05 * terms.detach()
                if schedule.progress - bar.n > 0.01:
                    kl, tv, warm = smoothed.tolist()
                    bar.set_postfix_str(
                        f"{schedule.seen / 1e6:.2f} M tokens, KL {kl:.3f}, TV {tv:.3f}, warm {warm:.3f}"
                    )
                    bar.update(schedule.progress - bar.n)
                if schedule.progress >= next_evaluation:
                    next_evaluation += 1 / evaluations
                    bar.write(describe_agreement(draft, dev))
    save(draft, tokenizer, out)
    print(describe_agreement(draft, dev))
    return draft


@torch.inference_mode()
def describe_agreement(draft: PreTrainedModel, dev: SoftTargets) -> str:
    """A line about held-out documents: 1 - TV at temperatures 1 and `WARM`, and greedy agreement."""
    sums, count = torch.zeros(4, dtype=torch.float64), 0
    for start, length in zip(dev.starts, dev.lengths, strict=True):
        place = slice(start, start + length)
        ids = torch.from_numpy(dev.ids[place].astype(np.int64)).to(draft.device)
        top_ids = torch.from_numpy(dev.top_ids[place].astype(np.int64)).to(draft.device)
        top_log_p = torch.from_numpy(dev.top_log_p[place].astype(np.float32)).to(draft.device)
        logits = draft(input_ids=ids[None], use_cache=False).logits[0].float()
        same = (logits.argmax(1) == top_ids[:, 0]).float()
        sums += torch.cat((loss_terms(logits, top_ids, top_log_p), same[None])).sum(1).double().cpu()
        count += int(length)
    kl, tv, warm, same = (sums / count).tolist()
    return f"dev: KL {kl:.3f}, 1 - TV {1 - tv:.3f}, at temperature {WARM} {1 - warm:.3f}, greedy {same:.3f}"
