"""Tiny random checkpoints of the families that people take, as their makers publish them: bfloat16, padded rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from cloud_target.engine.hf.saving import save_model
from tests.shared.chat import families as texts

_SPARE_ROWS = 11
_CONTEXT, _WINDOW = 80, 24
_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": _CONTEXT,
}
_GPT2 = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": _CONTEXT}
_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
_WINDOWS = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": _WINDOW}
_HEADS = {"head_dim": 16}


@dataclass(frozen=True)
class Family:
    """What a checkpoint of it is like.

    Attributes:
        tokens: whose tokenizer and chat template it has (`tests/shared/chat/families.py`).
        model, config: the names of transformers' classes.
        options: of the configuration.
        ends: tokens that end its texts.
        begins: the token that begins them; None where there is none.
        chats: whether it has a template.
    """

    tokens: str
    model: str
    config: str
    options: dict[str, Any]
    ends: Sequence[str]
    begins: str | None = None
    chats: bool = True

    def write(self, place: Path) -> Path:
        """Write one into the directory `place`, with weights large enough that all of them matter."""
        texts.write(self.tokens, place, **{} if self.chats else {"chat_template": None})
        tokenizer = texts.tokenizer_of(self.tokens)
        ends = [tokenizer.token_to_id(end) for end in self.ends]
        ids = {"bos_token_id": tokenizer.token_to_id(self.begins) if self.begins else None, "pad_token_id": ends[-1]}
        make_model, make_config = getattr(transformers, self.model), getattr(transformers, self.config)
        rows = tokenizer.get_vocab_size() + _SPARE_ROWS
        torch.manual_seed(7)
        model = make_model(make_config(vocab_size=rows, eos_token_id=ends[0], **ids, **self.options))
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.normal_(std=0.2)
        model.generation_config = transformers.GenerationConfig(eos_token_id=ends, **ids)
        save_model(model.to(torch.bfloat16), place)
        return place


def _of(
    tokens: str, prefix: str, config: str, ends: Sequence[str], begins: str | None = None, /, **options: Any
) -> Family:
    return Family(tokens, f"{prefix}ForCausalLM", config, _SIZES | options, ends, begins)


_QWEN_ENDS, _GEMMA_ENDS = ("<|im_end|>", "<|endoftext|>"), ("<end_of_turn>", "<eos>")
FAMILIES = {
    "gpt2": Family("gpt2", "GPT2LMHeadModel", "GPT2Config", _GPT2, ["<|endoftext|>"], "<|endoftext|>", chats=False),
    "llama": _of(
        "llama3", "Llama", "LlamaConfig", ("<|eot_id|>", "<|end_of_text|>"), "<|begin_of_text|>", rope_scaling=_ROPE
    ),
    "qwen2": _of("qwen2", "Qwen2", "Qwen2Config", _QWEN_ENDS, tie_word_embeddings=True),
    "qwen3": _of("qwen3", "Qwen3", "Qwen3Config", _QWEN_ENDS, tie_word_embeddings=True, **_HEADS),
    "gemma3": _of(
        "gemma", "Gemma3", "Gemma3TextConfig", _GEMMA_ENDS, "<bos>", **_WINDOWS, **_HEADS, query_pre_attn_scalar=16
    ),
    "phi3": _of("phi3", "Phi3", "Phi3Config", ("<|end|>", "</s>"), "<s>", sliding_window=_WINDOW),
}
# What no draft can be made of, in any version of transformers, although it can be a target.
NO_DRAFT = _of("llama3", "Olmo3", "Olmo3Config", ("<|eot_id|>",), "<|begin_of_text|>", **_WINDOWS)
