"""The general path: any causal language model that optimum can export, with a key-value cache that grows.

Slower than the fast path, and going back in the text copies the cache; but it knows every architecture. The graph
is given the inputs and outputs that the edge expects of any draft graph: see `candidates.py`, and here

    ids                       int64 [1, n]     the new tokens
    past.i.key, past.i.value  float32 [1, kv_heads, length, head_size]
"""

from __future__ import annotations

import inspect
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from optimum.exporters.onnx import export
from optimum.exporters.onnx.base import OnnxConfigWithPast
from optimum.exporters.tasks import TasksManager
from transformers import PreTrainedModel

from cloud_target.export import candidates
from cloud_target.export.builder import OPSET, Graph, GraphBuilder, refill, tensor
from cloud_target.export.weights import Weight
from shared.errors import InputError, first_line

_TASK = "text-generation-with-past"


def exporter(model: PreTrainedModel, otherwise: str = "take another draft") -> OnnxConfigWithPast:
    """What optimum exports this model with.

    Args:
        otherwise: what people can do where there is nothing.

    Raises:
        InputError: optimum does not know the architecture.
    """
    kind = model.config.model_type
    try:
        make_config = TasksManager.get_exporter_config_constructor(
            "onnx", model_type=kind, task=_TASK, library_name="transformers"
        )
        config: OnnxConfigWithPast = make_config(model.config, use_past=True, use_past_in_inputs=True)
    except (KeyError, ValueError) as error:
        raise InputError(f"optimum cannot export a {kind} as a causal language model; {otherwise}") from error
    return config


def optimum_graph(model: PreTrainedModel) -> onnx.ModelProto:
    """Export with optimum: outputs `logits`, `last_hidden_state` (after the final norm) and the cache `present.*`.

    Raises:
        InputError: optimum does not know the architecture, or fails at it.
    """
    kind, config = model.config.model_type, exporter(model)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings(), _returning_hidden_state(model):
        warnings.simplefilter("ignore")  # tracing warns of every branch in the model's Python code
        config.__class__ = _with_hidden_state(type(config))
        path = Path(scratch, "draft.onnx")
        try:
            export(model, config, path, opset=OPSET)
        except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
            raise InputError(
                f"optimum failed to export this {kind} ({first_line(error)}); take another draft"
            ) from error
        if any(path.parent.glob("*_data")):
            raise InputError("the draft is larger than the 2 GB that one ONNX file can hold; take a smaller draft")
        return onnx.load(path)


def concat_graph(model: PreTrainedModel, count: int = candidates.CANDIDATES) -> Graph:
    """The same with the edge's inputs and outputs, float32.

    Args:
        model: its head cut to the tokenizer's vocabulary.
        count: how many candidates to return; fewer if the vocabulary is smaller.

    Raises:
        InputError: as `optimum_graph`; or the cache is not made of keys and values by position.
    """
    exported = optimum_graph(model)
    graph = exported.graph
    sizes = {node.name: [d.dim_value for d in node.type.tensor_type.shape.dim] for node in graph.input}
    caches = [name for name in sizes if name.startswith("past_key_values.")]
    if not caches or any(len(sizes[name]) != 4 or not sizes[name][1] or not sizes[name][3] for name in caches):
        raise InputError(f"the cache of a {model.config.model_type} cannot be cut at a position; take another draft")

    builder = GraphBuilder()
    for name in caches:
        builder.add("Identity", _past(name), out=name)
    _derive_inputs(builder, caches[0], sizes)
    split = len(builder.nodes)
    candidates.take_rows(builder, "last_hidden_state", "hidden")
    of_all_rows = _renamed(graph, "logits")
    logits = candidates.take_rows(builder, of_all_rows, candidates.EVERY)
    head = model.get_output_embeddings()
    count = min(count, head.out_features)
    candidates.summarise(builder, logits, count)

    nodes = [*builder.nodes[:split], *graph.node, *builder.nodes[split:]]
    past = [tensor(_past(name), np.float32, [1, sizes[name][1], "length", sizes[name][3]]) for name in caches]
    present = [
        tensor(_past(name).replace("past", "present"), np.float32, [1, sizes[name][1], "total", sizes[name][3]])
        for name in caches
    ]
    inputs = [tensor("ids", np.int64, [1, "n"]), tensor("rows", np.int64, ["r"]), *past]
    outputs = [*candidates.outputs(count, head.in_features, head.out_features), *present]
    return _rebuild(exported, nodes, builder.weights, inputs, outputs)


def _past(name: str) -> str:
    return name.replace("past_key_values.", "past.")


def _renamed(graph: onnx.GraphProto, name: str) -> str:
    """Give a value of the exported graph another name, as ours has this one."""
    other = f"exported_{name}"
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [other if used == name else used for used in names]
    return other


def _derive_inputs(builder: GraphBuilder, cache: str, sizes: dict[str, list[int]]) -> None:
    """What the exported graph wants besides the cache, from the new ids and the length of the cache."""
    builder.add("Identity", "ids", out="input_ids")
    length, count = builder.add("Shape", cache, start=2, end=3), builder.add("Shape", "ids", start=1, end=2)
    total = builder.add("Add", length, count)
    one = builder.weight("one_row", np.array([1], np.int64))
    if "attention_mask" in sizes:
        ones = onnx.numpy_helper.from_array(np.array([1], np.int64))
        shape = builder.add("Concat", one, total, axis=0)
        builder.add("ConstantOfShape", shape, out="attention_mask", value=ones)
    if "position_ids" in sizes:
        start, end, step = (builder.add("Squeeze", x) for x in (length, total, one))
        positions = builder.add("Range", start, end, step)
        axis = builder.weight("first_axis", np.array([0], np.int64))
        builder.add("Unsqueeze", positions, axis, out="position_ids")


def _rebuild(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    weights: dict[str, Weight],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> Graph:
    """`model` with other nodes, further weights, and other inputs and outputs."""
    rebuilt = Graph.of(model)
    graph = rebuilt.model.graph
    refill(graph.node, nodes)
    refill(graph.input, inputs)
    refill(graph.output, outputs)
    del graph.value_info[:]  # their symbolic lengths have other names now
    return Graph(rebuilt.model, rebuilt.weights | weights)


@contextmanager
def _returning_hidden_state(model: PreTrainedModel) -> Iterator[None]:
    """While it lasts, the model's forward returns what its output head was given besides logits and cache."""
    original = type(model)
    seen: list[torch.Tensor] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    def forward(self: PreTrainedModel, *args: object, **kwargs: object) -> dict[str, object]:
        seen.clear()
        outputs = original.forward(self, *args, **kwargs)
        return {
            "logits": outputs.logits,
            "past_key_values": outputs.past_key_values,
            "last_hidden_state": seen[-1],
        }

    # optimum looks at the signature to see which inputs the model takes. (With `wraps` it would call the original.)
    vars(forward)["__signature__"] = inspect.signature(original.forward)
    model.__class__ = type("WithHiddenState", (original,), {"forward": forward})
    try:
        yield
    finally:
        model.__class__ = original
        vars(model).pop("forward", None)  # optimum's patch, undone, leaves the bound method on the instance
        hook.remove()


def _with_hidden_state(base: type[OnnxConfigWithPast]) -> type[OnnxConfigWithPast]:
    """The export configuration `base` with one more output."""

    class WithHiddenState(base):
        @property
        def outputs(self) -> dict[str, dict[int, str]]:
            return {**super().outputs, "last_hidden_state": {0: "batch_size", 1: "sequence_length"}}

    return WithHiddenState
