"""What the hand-built draft graphs have in common: their shape, products, and attention over a shared buffer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from transformers import PreTrainedModel

from cloud_target.engine.hf.typed import token_embeddings
from cloud_target.export.builder import MICROSOFT, GraphBuilder, tensor
from cloud_target.export.weights import Weight

# How the names end of the weights that make queries, keys and values.
ATTENTION = ".qkv"


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder; `context` is the length of its key-value buffers in tokens."""

    layers: int
    heads: int
    kv_heads: int
    head_size: int
    hidden: int
    context: int


def shape_of(model: PreTrainedModel, context: int) -> Shape:
    """The sizes that a Llama, Qwen2 or GPT-2 configuration gives."""
    config = model.config
    heads = config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_size=getattr(config, "head_dim", None) or config.hidden_size // heads,
        hidden=config.hidden_size,
        context=context,
    )


def embedding(graph: GraphBuilder, model: PreTrainedModel) -> str:
    """The table of token embeddings ``[vocabulary, hidden]``, without the rows that stand for no token."""
    vocabulary = model.get_output_embeddings().weight.shape[0]
    return graph.weight("embedding", Weight.stacked([token_embeddings(model)[:vocabulary].detach()]))


def linear(graph: GraphBuilder, x: str, name: str, weight: Weight, bias: Weight | None = None) -> str:
    """``x · weight + bias`` for a weight ``[inputs, outputs]``."""
    product = graph.add("MatMul", x, graph.weight(name, weight))
    return product if bias is None else graph.add("Add", product, graph.weight(f"{name}.bias", bias))


def attention(
    graph: GraphBuilder,
    layer: int,
    qkv: str,
    shape: Shape,
    scale: float | None = None,
    rotary: tuple[str, str] | None = None,
) -> str:
    """Attention of new tokens over what they see of the buffer, which also receives their keys and values.

    Args:
        qkv: packed queries, keys and values, ``[1, n, (heads + 2 kv_heads) head_size]``.
        scale: of the scores; None for one over the root of the head size.
        rotary: names of the cosine and sine tables ``[context, head_size / 2]``, or None.
    """
    out, _, _ = graph.add_many(
        "GroupQueryAttention",
        qkv,
        "",
        "",
        f"past.{layer}.key",
        f"past.{layer}.value",
        "last",
        # The mask is as long as the buffers, so that a longer text is no other shape.
        graph.weight("total", np.array([shape.context], np.int32)),
        *(rotary or ("", "")),
        "positions",
        "mask",
        out=[f"attention.{layer}", f"present.{layer}.key", f"present.{layer}.value"],
        domain=MICROSOFT,
        num_heads=shape.heads,
        kv_num_heads=shape.kv_heads,
        do_rotary=int(rotary is not None),
        **({} if scale is None else {"scale": scale}),
    )
    return out


def buffers(shape: Shape, prefix: str) -> list[onnx.ValueInfoProto]:
    """The key and value buffers of all layers as inputs ("past") or outputs ("present") of a graph."""
    sizes: list[int | str] = [1, shape.kv_heads, "context", shape.head_size]
    return [
        tensor(f"{prefix}.{layer}.{kind}", np.float32, sizes)
        for layer in range(shape.layers)
        for kind in ("key", "value")
    ]
