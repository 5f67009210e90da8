"""Tiny checkpoints with random weights, made on the spot."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

VOCABULARY, CONTEXT = 83, 48
COMMON = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, bos_token_id=0, eos_token_id=0)
LLAMA = dict(**COMMON, num_key_value_heads=2, intermediate_size=40, max_position_embeddings=CONTEXT, rope_theta=500.0)


def build(kind: str, vocabulary: int = VOCABULARY, **changes) -> PreTrainedModel:
    """A random model: weights large enough that every part of it matters to the logits."""
    torch.manual_seed(1)
    size = {"vocab_size": vocabulary}
    if kind == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(**size | COMMON | {"n_positions": CONTEXT} | changes))
    elif kind == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**size | LLAMA | {"tie_word_embeddings": False} | changes))
    else:
        model = LlamaForCausalLM(LlamaConfig(**size | LLAMA | {"tie_word_embeddings": True} | changes))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = "norm" in name or "ln_" in name
            parameter.copy_(0.2 * torch.randn_like(parameter) + float(is_norm))
    return model.eval().requires_grad_(False)


def tiny_tokenizer(vocabulary: int = VOCABULARY, changed: int | None = None) -> Tokenizer:
    """Words w1, w2, ...; token 0 ends a text. The word `changed` has another name."""
    words = {"<|endoftext|>": 0} | {f"w{i}" if i != changed else "other": i for i in range(1, vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w1"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def save(model: PreTrainedModel, directory: Path, tokenizer: Tokenizer | None = None) -> Path:
    """Write a checkpoint as training does."""
    model.save_pretrained(directory)
    (tokenizer or tiny_tokenizer()).save(str(directory / "tokenizer.json"))
    return directory
