"""A thin layer over onnx.helper: nodes and weights in the order in which they are added, then a model."""

from __future__ import annotations

import os
from collections.abc import Iterable, MutableSequence, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
from onnx import helper, numpy_helper

from shared.errors import InputError

OPSET = 20
IR_VERSION = 10
MICROSOFT = "com.microsoft"  # onnxruntime's own operators
# An ONNX file is one protobuf message, and a message cannot be larger; the edge's bundle has no place for side files.
LARGEST_MODEL = 2**31 - 1

Message = TypeVar("Message", onnx.NodeProto, onnx.TensorProto, onnx.ValueInfoProto)


def tensor(name: str, dtype: type | np.dtype | str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    """The description of a graph's input or output; a string in `shape` is a length known only at run time."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))


class GraphBuilder:
    """Collects a graph; every method that adds something returns its name, to be given to the next node."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}

    @property
    def weights(self) -> list[onnx.TensorProto]:
        """The constants added so far."""
        return list(self._weights.values())

    def weight(self, name: str, array: np.ndarray) -> str:
        """Add a constant; the same name again means the same constant."""
        if name not in self._weights:
            self._weights[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
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

    def model(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The model made of everything added so far."""
        graph = helper.make_graph(self.nodes, "tandem", list(inputs), list(outputs), self.weights)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tandem")


def refill(field: MutableSequence[Message], messages: Iterable[Message]) -> None:
    """Put other messages into a repeated field of a model, in place of those that are there."""
    del field[:]  # protobuf has no assignment to slices
    field.extend(messages)


def write_model(model: onnx.ModelProto, path: str | Path) -> None:
    """Write a model so that a reader sees either the whole file or none.

    Raises:
        InputError: it is too large for one file.
    """
    if model.ByteSize() > LARGEST_MODEL:
        raise InputError(
            f"{path} would have {model.ByteSize() / 1e9:.1f} GB, and an ONNX file cannot have more than 2; "
            "take a smaller draft, or --dtype int8"
        )
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        scratch.write_bytes(model.SerializeToString())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
