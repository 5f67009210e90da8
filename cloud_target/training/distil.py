"""Distil the pocket draft: make its next word the target's as often as can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import LlamaForCausalLM, PreTrainedModel

from cloud_target.engine.hf.typed import move, token_embeddings
from cloud_target.training.loop import Loop, batches
from cloud_target.training.loss import WARM, loss_terms
from cloud_target.training.optim import Optimiser, Schedule
from cloud_target.training.pretrain import Shape, save
from cloud_target.training.settings import RunSettings
from cloud_target.training.teacher import SoftTargets


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
    schedule = Schedule(settings.tokens, settings.minutes)
    loop = Loop(draft, Optimiser(draft, settings.peak), schedule, forward=torch.compile(draft))
    next_evaluation = 1 / evaluations
    with tqdm(total=1.0, bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}", mininterval=5, miniters=0) as bar:
        for length, until in ((width, 1 - settings.long_share), (shape.context, 1.0)):
            stream = batches(targets, max(1, settings.batch_tokens // length), length, random, settings.device)
            while schedule.progress < until:
                loop.step(next(stream))
                if schedule.progress - bar.n > 0.01:
                    bar.set_postfix_str(loop.describe())
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
