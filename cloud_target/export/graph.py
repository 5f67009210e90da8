"""The fast path: a draft graph built by hand from a checkpoint's weights, with fused operators.

Past and present share one buffer per layer that is as long as the context, so going back in the text is a smaller
integer and copies nothing. Several ways to go on with a text lie side by side in it: a token's place in the buffer is
one thing, its position in its text another, and the mask says which places it sees. Inputs besides `rows` (see
`candidates.py`):

    ids            int64 [1, n]    the new tokens
    positions      int64 [1, n]    of them, each in its own text
    last           int32 [1]       place in the buffers of the last of them; the others stand before it
    mask           float32 [1, 1, n, context]  what is added to each score: 0 where a token sees a place, or `HIDDEN`
    past.i.key, past.i.value       float32 [1, kv_heads, context, head_size]; bound to the same memory as present.i.*

No token sees a place after its own, whatever the mask says. `positions` and `last` come from outside because deriving
them in the graph costs two per cent of a small draft's step.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from transformers import PreTrainedModel

from cloud_target.export import candidates, gpt2, llama
from cloud_target.export.blocks import buffers, embedding, shape_of
from cloud_target.export.builder import Graph, GraphBuilder, tensor
from cloud_target.export.weights import Weight
from shared.errors import InputError

ARCHITECTURES = {"llama": llama, "qwen2": llama, "gpt2": gpt2}


def obstacle(model: PreTrainedModel, context: int) -> str | None:
    """Why the fast path cannot take this model, or None if it can."""
    architecture = ARCHITECTURES.get(model.config.model_type)
    if architecture is None:
        return f"it is a {model.config.model_type}, and the fast path knows {', '.join(ARCHITECTURES)}"
    head_size = shape_of(model, context).head_size
    if head_size % 16:
        return f"its attention heads have {head_size} dimensions, and onnxruntime's operator wants a multiple of 16"
    return architecture.obstacle(model, context)


def shared_buffer_graph(
    model: PreTrainedModel, context: int, count: int = candidates.CANDIDATES, layers: int | None = None
) -> Graph:
    """Build the graph, float32. Its weights are read from the model, whatever their dtype, when it is written.

    Args:
        model: a Llama, Qwen2 or GPT-2, its head cut to the tokenizer's vocabulary.
        context: length of the buffers in tokens.
        count: how many candidates to return; fewer if the vocabulary is smaller.
        layers: of the first so many only, as a smaller model of the same kind; None for all.

    Raises:
        InputError: the fast path cannot take this model; the message says why.
    """
    reason = obstacle(model, context)
    if reason is not None:
        raise InputError(f"no shared-buffer graph can be built from this draft: {reason}; use --kind concat")
    head = model.get_output_embeddings()
    count = min(count, head.out_features)
    shape = shape_of(model, context)
    shape = replace(shape, layers=layers or shape.layers)
    state = model.state_dict()

    graph = GraphBuilder()
    body = ARCHITECTURES[model.config.model_type].body(graph, model, state, shape)
    hidden = candidates.take_rows(graph, body, "hidden")
    # Tied weights stay one tensor: the head multiplies by the transpose of the embedding.
    own = Weight.stacked([head.weight.detach()])
    weight = embedding(graph, model) if model.config.tie_word_embeddings else graph.weight("head", own)
    logits = graph.add("Gemm", hidden, weight, transB=1, out=candidates.EVERY)
    candidates.summarise(graph, logits, count)
    inputs = [
        tensor("ids", np.int64, [1, "n"]),
        tensor("rows", np.int64, ["r"]),
        tensor("positions", np.int64, [1, "n"]),
        tensor("last", np.int32, [1]),
        tensor("mask", np.float32, [1, 1, "n", "context"]),
    ]
    outputs = candidates.outputs(count, shape.hidden, head.out_features)
    return graph.graph([*inputs, *buffers(shape, "past")], [*outputs, *buffers(shape, "present")])
