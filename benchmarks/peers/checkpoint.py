"""The draft of a bundle as a checkpoint, for systems that want one: the weights of its graph, rounded as there."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import LlamaConfig, LlamaForCausalLM

from shared.errors import InputError
from shared.manifest import Manifest, read_manifest

Arrays = dict[str, np.ndarray]
_MIDDLE = 128  # stands for 0 in 8 bits
_OTHER_KIND = (
    "a checkpoint can be made only of a plain Llama draft with 8-bit weights; give the one that this bundle was made of"
)


def write_checkpoint(bundle: Path, out: Path) -> Path:
    """Write a Llama checkpoint that computes what the draft's graph does, but for the rounding of activations.

    Args:
        bundle: directory of a bundle whose draft is a Llama with 8-bit weights, as `prepare` writes them.
        out: folder to write into.

    Raises:
        InputError: the draft is of another kind.
    """
    manifest = read_manifest(bundle)
    graph = onnx.load(bundle / "draft.onnx").graph
    arrays = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    try:
        model = LlamaForCausalLM(config := _config(manifest, graph, arrays))
        model.load_state_dict(_state(config, arrays))
    except (KeyError, StopIteration, ValueError, RuntimeError) as error:  # the graph lacks what such a draft has
        raise InputError(_OTHER_KIND) from error
    with torch.no_grad():
        logits = model(torch.tensor([manifest.probe.ids])).logits[0, -1, manifest.probe.top_ids].numpy()
    if not np.abs(logits - manifest.probe.top_logits).max() <= manifest.probe.tolerance:
        raise InputError(_OTHER_KIND)
    model.save_pretrained(out)
    shutil.copy(bundle / "tokenizer.json", out)
    words = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (out / "tokenizer_config.json").write_text(json.dumps(words), encoding="utf-8")
    return out


def _config(manifest: Manifest, graph: onnx.GraphProto, arrays: Arrays) -> LlamaConfig:
    shape = manifest.draft
    attention, norm = (
        next(node for node in graph.node if node.op_type == kind)
        for kind in ("GroupQueryAttention", "SimplifiedLayerNormalization")
    )
    return LlamaConfig(
        vocab_size=manifest.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=len(arrays["layer.0.gate_up.product.int8"]) // 2,
        num_hidden_layers=shape.layers,
        num_attention_heads=int(_attribute(attention, "num_heads")),
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_size,
        max_position_embeddings=manifest.context,
        rms_norm_eps=float(_attribute(norm, "epsilon")),
        rope_theta=_theta(arrays, shape.head_size),
        tie_word_embeddings=True,
        bos_token_id=manifest.end_ids[0],
        eos_token_id=list(manifest.end_ids),
    )


def _state(config: LlamaConfig, arrays: Arrays) -> dict[str, torch.Tensor]:
    """The weights by transformers' names; the graph has queries, keys and values in one matrix, so gate and up."""
    queries, keys = (config.head_dim * heads for heads in (config.num_attention_heads, config.num_key_value_heads))
    last = config.num_hidden_layers - 1
    state = {
        "model.embed_tokens.weight": _weight(arrays, "embedding.product"),
        "model.norm.weight": arrays[f"layer.{last}.end.norm"],
    }
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    for layer in range(config.num_hidden_layers):
        here, there = f"layer.{layer}.", f"model.layers.{layer}."
        parts = np.split(_weight(arrays, f"{here}qkv.product"), [queries, queries + keys])
        state |= {f"{there}self_attn.{name}_proj.weight": part for name, part in zip("qkv", parts, strict=True)}
        parts = np.split(_weight(arrays, f"{here}gate_up.product"), 2)
        state |= {f"{there}mlp.{name}_proj.weight": part for name, part in zip(("gate", "up"), parts, strict=True)}
        state |= {
            f"{there}self_attn.o_proj.weight": _weight(arrays, f"{here}output.product"),
            f"{there}mlp.down_proj.weight": _weight(arrays, f"{here}down.product"),
            f"{there}input_layernorm.weight": arrays[f"layer.{layer - 1}.end.norm" if layer else "layer.0.norm"],
            f"{there}post_attention_layernorm.weight": arrays[f"{here}middle.norm"],
        }
    return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in state.items()}


def _attribute(node: onnx.NodeProto, name: str) -> float:
    return next(onnx.helper.get_attribute_value(one) for one in node.attribute if one.name == name)


def _weight(arrays: Arrays, name: str) -> np.ndarray:
    """A matrix ``[outputs, inputs]``, float32, from MatMulNBits' blocks."""
    blocks = arrays[f"{name}.int8"].astype(np.float32) - _MIDDLE
    scales = arrays[f"{name}.scales"].reshape(*blocks.shape[:2], 1)
    return (blocks * scales).reshape(len(blocks), -1)


def _theta(arrays: Arrays, head_size: int) -> float:
    """The base of the rotary embedding, from the angle by which its second pair turns in one step.

    Raises:
        ValueError: the tables are not those of a base alone.
    """
    cosines, sines = arrays["c"], arrays["s"]
    theta = float(round(math.atan2(sines[1, 1], cosines[1, 1]) ** (-head_size / 2)))
    angles = np.outer(np.arange(len(cosines)), theta ** (-2 * np.arange(head_size // 2) / head_size))
    if not (np.allclose(np.cos(angles), cosines, atol=1e-3) and np.allclose(np.sin(angles), sines, atol=1e-3)):
        raise ValueError("a scaled rotary embedding")
    return theta
