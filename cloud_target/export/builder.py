"""A thin layer over onnx.helper: nodes and weights in the order in which they are added, then a graph."""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cloud_target.export.weights import Weight

OPSET = 20
IR_VERSION = 10
MICROSOFT = "com.microsoft"  # onnxruntime's own operators

Message = TypeVar("Message", onnx.NodeProto, onnx.TensorProto, onnx.ValueInfoProto)


def tensor(name: str, dtype: type | np.dtype | str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    """The description of a graph's input or output; a string in `shape` is a length known only at run time."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))


@dataclass(frozen=True)
class Graph:
    """A graph whose constants are read when it is written; until then it is some kilobytes, whatever its model.

    Attributes:
        model: everything but the constants.
        weights: these, by name.
    """

    model: onnx.ModelProto
    weights: dict[str, Weight]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Graph:
        """One that is in memory."""
        weights = {one.name: Weight.of(numpy_helper.to_array(one)) for one in model.graph.initializer}
        bare = onnx.ModelProto()
        bare.CopyFrom(model)
        del bare.graph.initializer[:]
        return cls(bare, weights)

    @property
    def nbytes(self) -> int:
        """Of all constants."""
        return sum(weight.nbytes for weight in self.weights.values())

    def whole(self) -> onnx.ModelProto:
        """All of it in memory, for what is small."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        constants = (numpy_helper.from_array(weight.array(), name) for name, weight in self.weights.items())
        model.graph.initializer.extend(constants)
        return model


class GraphBuilder:
    """Collects a graph; every method that adds something returns its name, to be given to the next node."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Weight] = {}

    def weight(self, name: str, value: Weight | Any) -> str:
        """Add a constant, an array or one that is read later; the same name again means the same constant."""
        if name not in self.weights:
            self.weights[name] = value if isinstance(value, Weight) else Weight.of(value)
        return name

    def add(self, op: str, *inputs: str, out: str | None = None, domain: str = "", **attributes: object) -> str:
        """Add a node with one output, which is called `out` if given."""
        return self.add_many(op, *inputs, out=[out or f"{op}_{len(self.nodes)}"], domain=domain, **attributes)[0]

    def add_many(
        self, op: str, *inputs: str, out: Sequence[str], domain: str = "", **attributes: object
    ) -> Sequence[str]:
        """Add a node with the outputs `out`; an empty name stands for an output or input that is not wanted."""
        name = f"{op}_{len(self.nodes)}"
        node = helper.make_node(op, list(inputs), list(out), name=name, domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self.nodes.append(node)
        return out

    def graph(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> Graph:
        """The graph made of everything added so far."""
        graph = helper.make_graph(self.nodes, "tandem", list(inputs), list(outputs))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tandem")
        return Graph(model, self.weights)

    def model(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The same, all of it in memory."""
        return self.graph(inputs, outputs).whole()


def refill(field: MutableSequence[Message], messages: Iterable[Message]) -> None:
    """Put other messages into a repeated field of a model, in place of those that are there."""
    del field[:]  # protobuf has no assignment to slices
    field.extend(messages)
