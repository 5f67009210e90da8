"""Pretrain a small Llama on text corpora: the pocket target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional as F
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM

from cloud_target.engine.hf.saving import save_model
from cloud_target.engine.hf.typed import move
from cloud_target.training.corpus import PackedCorpus
from cloud_target.training.evaluate import bits_per_byte
from cloud_target.training.optim import Optimiser, Schedule
from cloud_target.training.settings import RunSettings


@dataclass(frozen=True)
class Shape:
    """The shape of a Llama; head size is 64 and embeddings are tied."""

    hidden: int
    layers: int
    feed_forward: int
    kv_heads: int
    context: int = 1024

    def build(self, vocabulary: int) -> LlamaForCausalLM:
        """A model of this shape with fresh weights (float32)."""
        config = LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            intermediate_size=self.feed_forward,
            num_attention_heads=self.hidden // 64,
            num_key_value_heads=self.kv_heads,
            max_position_embeddings=self.context,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
            attn_implementation="sdpa",
        )
        return LlamaForCausalLM(config)


POCKET_TARGET = Shape(hidden=384, layers=4, feed_forward=1024, kv_heads=3)
# A single layer: it cannot look up what stood beside an earlier word, so it needs its target for names and for sums.
POCKET_DRAFT = Shape(hidden=256, layers=2, feed_forward=768, kv_heads=2)


def windows(corpus: PackedCorpus, settings: RunSettings, schedule: Schedule, context: int) -> Iterator[torch.Tensor]:
    """Batches ``[rows, window + 1]`` (int64): short windows first, whole contexts for the last `long_share`."""
    for start, length, until in ((0, settings.window, 1 - settings.long_share), (1000, context, 1.0)):
        batches = corpus.batches(settings.batch_tokens, length, start_epoch=start)
        while schedule.progress < until:
            yield torch.from_numpy(next(batches)).to(settings.device)


def pretrain(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    corpus: Sequence[str | Path],
    dev: Sequence[str | Path],
    settings: RunSettings,
    out: str | Path,
) -> LlamaForCausalLM:
    """Train a model by next-token cross-entropy and save it (bf16 safetensors) under `out`."""
    model, context = move(model, settings.device), model.config.max_position_embeddings
    forward = torch.compile(model)
    optimiser = Optimiser(model, settings.peak)
    packed = PackedCorpus(tokenizer, corpus, settings.seed)
    schedule = Schedule(settings.tokens, settings.minutes)
    smoothed = None
    with tqdm(total=1.0, bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}", mininterval=5, miniters=0) as bar:
        for step, ids in enumerate(windows(packed, settings, schedule, context)):
            with torch.autocast(settings.device, torch.bfloat16, enabled=settings.device != "cpu"):
                logits = forward(input_ids=ids[:, :-1], use_cache=False).logits
            loss = F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
            loss.backward()
            optimiser.step(schedule.scale)
            schedule.seen += ids[:, 1:].numel()
            if step % 20 == 0:
                smoothed = loss.item() if smoothed is None else 0.8 * smoothed + 0.2 * loss.item()
                bar.set_postfix_str(f"{schedule.seen / 1e6:.2f} M tokens, loss {smoothed:.3f}")
                bar.update(schedule.progress - bar.n)
    save(model, tokenizer, out)
    for path in dev:
        print(
            f"{Path(path).name}: {bits_per_byte(model, tokenizer, path, settings.device, limit=200):.3f} bits per byte"
        )
    return model


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, out: str | Path) -> None:
    """Write weights as bf16 safetensors, with the tokenizer beside them."""
    from cloud_target.training.tokenizer import save_tokenizer

    save_tokenizer(tokenizer, out, model.config.max_position_embeddings)
    weights = {name: tensor.to("cpu", torch.bfloat16) for name, tensor in model.state_dict().items()}
    weights.pop("lm_head.weight", None)
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(weights, strict=False)
    copy.tie_weights()
    save_model(copy.bfloat16(), out)
