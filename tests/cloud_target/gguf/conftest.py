"""GGUF files of tiny models, written as llama.cpp's converter does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from tests.shared.chat.families import CHATML, tokenizer_of

CONTROL, NORMAL, UNUSED = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL, gguf.TokenType.UNUSED
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def build(kind: str, vocabulary: int) -> PreTrainedModel:
    torch.manual_seed(0)
    common: dict[str, Any] = dict(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=False, rms_norm_eps=1e-6,
    )  # fmt: skip
    model: PreTrainedModel = (
        LlamaForCausalLM(LlamaConfig(**common)) if kind == "llama" else Qwen2ForCausalLM(Qwen2Config(**common))
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(1.0 if "norm" in name else 0.0, 0.2)
    return model.eval()


def words_of(family: str) -> tuple[list[str], list[str], list[int]]:
    """Tokens, merges and kinds of tokens of a small tokenizer."""
    state = json.loads(tokenizer_of(family).to_str())
    added = {token["id"]: token for token in state["added_tokens"]}
    words = {id: word for word, id in state["model"]["vocab"].items()} | {id: t["content"] for id, t in added.items()}
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in state["model"]["merges"]]
    kinds = [int(CONTROL if id in added else NORMAL) for id in range(len(words))]
    return [words[id] for id in range(len(words))], merges, kinds


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file; returns its path."""

    def make(
        family: str = "qwen2",
        pre: str | None = "qwen2",
        model: PreTrainedModel | None = None,
        kind: str = "llama",
        quantised: gguf.GGMLQuantizationType | None = None,
        fillers: int = 0,
        parts: int = 1,
    ) -> Path:
        words, merges, kinds = words_of(family)
        end = words.index("<|im_end|>") if "<|im_end|>" in words else 0
        words += [f"[PAD{id}]" for id in range(fillers)]
        kinds += [int(UNUSED)] * fillers
        model = model or build(kind, len(words))
        path = tmp_path / f"{family}-{kind}.gguf"
        writer = gguf.GGUFWriter(path, kind)
        _write_sizes(writer, model)
        writer.add_tokenizer_model("gpt2")
        if pre:
            writer.add_tokenizer_pre(pre)
        writer.add_token_list(words)
        writer.add_token_types(kinds)
        writer.add_token_merges(merges)
        writer.add_eos_token_id(end)
        writer.add_bos_token_id(end)
        writer.add_chat_template(CHATML)
        if parts > 1:
            writer.add_uint16("split.count", parts)
        for name, tensor in _tensors(model, kind):
            if quantised is not None and tensor.ndim == 2:
                writer.add_tensor(name, gguf.quants.quantize(tensor, quantised), raw_dtype=quantised)
            else:
                writer.add_tensor(name, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return make


def _write_sizes(writer: gguf.GGUFWriter, model: PreTrainedModel) -> None:
    config = model.config
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_theta if hasattr(config, "rope_theta") else 10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _tensors(model: PreTrainedModel, kind: str) -> Sequence[tuple[str, np.ndarray]]:
    found = []
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    for name, weight in model.state_dict().items():
        name, _, end = name.rpartition(".")
        block = name.split(".")[2] if name.startswith("model.layers.") else None
        short = _NAMES[name if block is None else name.split(".", 3)[3]]
        values = weight.float().numpy()
        if kind == "llama" and short in heads:  # its rotary pairs stand side by side there
            rows = len(values)
            values = values.reshape(heads[short], 2, rows // heads[short] // 2, -1).swapaxes(1, 2).reshape(rows, -1)
        found.append((f"blk.{block}.{short}.{end}" if block else f"{short}.{end}", np.ascontiguousarray(values)))
    return found
