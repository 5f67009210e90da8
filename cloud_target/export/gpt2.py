"""The body of a GPT-2 as a graph: learned positions, biases everywhere, queries, keys and values already packed."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from cloud_target.export.blocks import Shape, attention, embedding, linear
from cloud_target.export.builder import MICROSOFT, GraphBuilder
from cloud_target.export.weights import Weight

# How each activation is written as one node over the sum of a product and its bias.
_ACTIVATIONS = {
    "gelu_new": ("FastGelu", MICROSOFT),
    "gelu_pytorch_tanh": ("FastGelu", MICROSOFT),
    "gelu": ("Gelu", MICROSOFT),
    "relu": ("Relu", ""),
}


def obstacle(model: PreTrainedModel, context: int) -> str | None:
    """Why this model cannot be built by `body`, or None."""
    config = model.config
    if config.activation_function not in _ACTIVATIONS:
        return f"its activation is {config.activation_function}"
    if config.add_cross_attention:
        return "it attends to an encoder"
    if context > config.n_positions:
        return f"it has learned {config.n_positions} positions"
    return None


def body(graph: GraphBuilder, model: PreTrainedModel, state: dict[str, torch.Tensor], shape: Shape) -> str:
    """Add everything from `ids` to the hidden state after the final norm, ``[1, n, hidden]``; returns its name."""
    config = model.config
    activation, domain = _ACTIVATIONS[config.activation_function]

    def weights(module: str) -> tuple[Weight, Weight]:
        weight, bias = (Weight.stacked([state[f"transformer.{module}.{part}"]]) for part in ("weight", "bias"))
        return weight, bias

    def add_and_norm(residual: str, x: str, bias: Weight | None, norm: str) -> tuple[str, str]:
        gamma, beta = weights(norm)
        normed, _, _, total = graph.add_many(
            "SkipLayerNormalization",
            residual,
            x,
            graph.weight(f"{norm}.gamma", gamma),
            graph.weight(f"{norm}.beta", beta),
            *([] if bias is None else [graph.weight(f"{norm}.bias", bias)]),
            out=[f"{norm}.normed", "", "", f"{norm}.residual"],
            domain=MICROSOFT,
            epsilon=config.layer_norm_epsilon,
        )
        return normed, total

    # Learned positions are added like one more layer's output, so the first norm is fused with the sum as well.
    tokens = graph.add("Gather", embedding(graph, model), "ids")
    positions = graph.add(
        "Gather", graph.weight("position_embedding", Weight.stacked([state["transformer.wpe.weight"]])), "positions"
    )
    x, residual = add_and_norm(tokens, positions, None, "h.0.ln_1")
    for layer in range(shape.layers):
        scale = shape.head_size**-0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            scale /= layer + 1
        block = f"h.{layer}"
        x = linear(graph, x, f"{block}.qkv", *weights(f"{block}.attn.c_attn"))
        x = attention(graph, layer, x, shape, scale=scale)
        weight, bias = weights(f"{block}.attn.c_proj")
        x, residual = add_and_norm(residual, linear(graph, x, f"{block}.output", weight), bias, f"{block}.ln_2")
        x = graph.add(activation, linear(graph, x, f"{block}.up", *weights(f"{block}.mlp.c_fc")), domain=domain)
        weight, bias = weights(f"{block}.mlp.c_proj")
        norm = "ln_f" if layer == shape.layers - 1 else f"h.{layer + 1}.ln_1"
        x, residual = add_and_norm(residual, linear(graph, x, f"{block}.down", weight), bias, norm)
    return x
