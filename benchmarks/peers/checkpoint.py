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

from cloud_target.export.quantise import BITS, BLOCK
from shared.errors import InputError
from shared.manifest import read_manifest

_MIDDLE = 1 << (BITS - 1)
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
    layers, kv_heads, head_size = manifest.draft.layers, manifest.draft.kv_heads, manifest.draft.head_size
    attentions = [node for node in graph.node if node.op_type == "GroupQueryAttention"]
    needed = {"embedding.product.int8", "layer.0.gate_up.product.int8"}
    if needed - arrays.keys() or "layer.0.qkv.bias" in arrays or len(attentions) != layers:
        raise InputError(_OTHER_KIND, options=("draft",))
    heads = int(_attribute(attentions[0], "num_heads"))
    sizes = [heads * head_size, kv_heads * head_size, kv_heads * head_size]
    state = {"model.embed_tokens.weight": _weight(arrays, "embedding.product")}
    for layer in range(layers):
        there, here = f"model.layers.{layer}.", f"layer.{layer}."
        queries, keys, values = np.split(_weight(arrays, f"{here}qkv.product"), np.cumsum(sizes)[:-1])
        gate, up = np.split(_weight(arrays, f"{here}gate_up.product"), 2)
        state |= {
            f"{there}input_layernorm.weight": arrays[f"layer.{layer - 1}.end.norm" if layer else "layer.0.norm"],
            f"{there}post_attention_layernorm.weight": arrays[f"{here}middle.norm"],
            f"{there}self_attn.q_proj.weight": queries,
            f"{there}self_attn.k_proj.weight": keys,
            f"{there}self_attn.v_proj.weight": values,
            f"{there}self_attn.o_proj.weight": _weight(arrays, f"{here}output.product"),
            f"{there}mlp.gate_proj.weight": gate,
            f"{there}mlp.up_proj.weight": up,
            f"{there}mlp.down_proj.weight": _weight(arrays, f"{here}down.product"),
        }
    state["model.norm.weight"] = arrays[f"layer.{layers - 1}.end.norm"]
    norm = next(node for node in graph.node if node.op_type == "SimplifiedLayerNormalization")
    config = LlamaConfig(
        vocab_size=manifest.vocabulary,
        hidden_size=manifest.draft.hidden,
        intermediate_size=len(gate),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_size,
        max_position_embeddings=manifest.context,
        rms_norm_eps=float(_attribute(norm, "epsilon")),
        rope_theta=_theta(arrays, head_size),
        tie_word_embeddings=True,
        bos_token_id=manifest.end_ids[0],
        eos_token_id=list(manifest.end_ids),
        torch_dtype=torch.float32,
    )
    model = LlamaForCausalLM(config)
    tensors = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in state.items()}
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    model.load_state_dict(tensors)
    with torch.no_grad():
        logits = model(torch.tensor([manifest.probe.ids])).logits[0, -1, manifest.probe.top_ids].numpy()
    if np.abs(logits - manifest.probe.top_logits).max() > manifest.probe.tolerance:
        raise InputError(_OTHER_KIND, options=("draft",))
    model.save_pretrained(out)
    shutil.copy(bundle / "tokenizer.json", out)
    words = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (out / "tokenizer_config.json").write_text(json.dumps(words), encoding="utf-8")
    return out


def _attribute(node: onnx.NodeProto, name: str) -> float:
    return next(onnx.helper.get_attribute_value(one) for one in node.attribute if one.name == name)


def _weight(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """A matrix ``[outputs, inputs]``, float32, from MatMulNBits' blocks."""
    blocks = arrays[f"{name}.int8"].astype(np.float32) - _MIDDLE
    scales = arrays[f"{name}.scales"].reshape(*blocks.shape[:2], 1)
    assert blocks.shape[2] == BLOCK, "that is how `quantise` stores them"
    return (blocks * scales).reshape(len(blocks), -1)


def _theta(arrays: dict[str, np.ndarray], head_size: int) -> float:
    """The base of the rotary embedding, from the angle by which its second pair turns in one step."""
    angle = math.atan2(arrays["s"][1, 1], arrays["c"][1, 1])
    return float(round(angle ** (-head_size / 2)))
