"""The body of a Llama or Qwen2 as a graph: 9 nodes a layer."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from cloud_target.export.blocks import Shape, attention, embedding, linear
from cloud_target.export.builder import MICROSOFT, GraphBuilder
from cloud_target.export.weights import Weight

State = dict[str, torch.Tensor]


def obstacle(model: PreTrainedModel, context: int) -> str | None:
    """Why this model cannot be built by `body`, or None."""
    config = model.config
    if config.hidden_act not in ("silu", "swish"):
        return f"its activation is {config.hidden_act}, not silu"
    if getattr(config, "use_sliding_window", False) and config.sliding_window < context:
        return "it attends over a sliding window"
    # These change the frequencies as a text grows; the tables of the graph cannot.
    if getattr(model.model.rotary_emb, "rope_type", "default") in ("dynamic", "longrope"):
        return f"its rotary embedding is {model.model.rotary_emb.rope_type}"
    return None


def body(graph: GraphBuilder, model: PreTrainedModel, state: State, shape: Shape) -> str:
    """Add everything from `ids` to the hidden state after the final norm, ``[1, n, hidden]``; returns its name."""
    rotary = _rotary_tables(graph, model, shape)
    epsilon = model.config.rms_norm_eps
    residual = graph.add("Gather", embedding(graph, model), "ids")
    x = graph.add(
        "SimplifiedLayerNormalization",
        residual,
        graph.weight("layer.0.norm", Weight.stacked([state["model.layers.0.input_layernorm.weight"]])),
        axis=-1,
        epsilon=epsilon,
    )
    for layer in range(shape.layers):
        prefix, name = f"model.layers.{layer}.", f"layer.{layer}."

        def add_and_norm(residual: str, x: str, part: str, gamma: str, name: str = name) -> tuple[str, str]:
            normed, _, _, total = graph.add_many(
                "SkipSimplifiedLayerNormalization",
                residual,
                x,
                graph.weight(f"{name}{part}.norm", Weight.stacked([state[gamma]])),
                out=[f"{name}{part}.normed", "", "", f"{name}{part}.residual"],
                domain=MICROSOFT,
                epsilon=epsilon,
            )
            return normed, total

        x = linear(graph, x, f"{name}qkv", *_packed(state, [f"{prefix}self_attn.{part}_proj" for part in "qkv"]))
        x = attention(graph, layer, x, shape, rotary=rotary)
        x = linear(graph, x, f"{name}output", *_packed(state, [f"{prefix}self_attn.o_proj"]))
        x, residual = add_and_norm(residual, x, "middle", f"{prefix}post_attention_layernorm.weight")
        x = linear(graph, x, f"{name}gate_up", *_packed(state, [f"{prefix}mlp.{part}_proj" for part in ("gate", "up")]))
        gate, up = graph.add_many("Split", x, out=[f"{name}gate", f"{name}up"], axis=-1, num_outputs=2)
        x = graph.add("Mul", graph.add("QuickGelu", gate, domain=MICROSOFT, alpha=1.0), up)  # alpha 1 is SiLU
        x = linear(graph, x, f"{name}down", *_packed(state, [f"{prefix}mlp.down_proj"]))
        last = layer == shape.layers - 1
        gamma = "model.norm.weight" if last else f"model.layers.{layer + 1}.input_layernorm.weight"
        x, residual = add_and_norm(residual, x, "end", gamma)
    return x


def _packed(state: State, modules: list[str]) -> tuple[Weight, Weight | None]:
    """The weights ``[inputs, outputs]`` of several layers over one input, side by side, and their biases if any."""
    weight = Weight.stacked([state[f"{module}.weight"] for module in modules]).T
    biases = [state[f"{module}.bias"] for module in modules if f"{module}.bias" in state]
    return weight, Weight.stacked(biases) if biases else None


def _rotary_tables(graph: GraphBuilder, model: PreTrainedModel, shape: Shape) -> tuple[str, str]:
    """Cosines and sines by position, from the model's own module, so that every kind of scaling is as it has it."""
    positions = torch.arange(shape.context)[None]
    tables = model.model.rotary_emb(torch.zeros(1, dtype=torch.float32), positions)
    half = shape.head_size // 2
    cosines, sines = (graph.weight(name, table[0, :, :half].numpy()) for name, table in zip("cs", tables, strict=True))
    return cosines, sines
