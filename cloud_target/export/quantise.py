"""A draft graph with weights in 8 or 4 bits: the same graph, with other operators and packed constants.

Every product with a constant matrix, the output head included, becomes onnxruntime's MatMulNBits: a scale for each
block of weights, activations in 8 bits as they come, or in float32. Token embeddings are stored in the same way; where
they are the head's weights, too, there is one table for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from cloud_target.export.blocks import ATTENTION
from cloud_target.export.builder import MICROSOFT, Graph, refill
from cloud_target.export.packing import Packing
from cloud_target.export.precision import Precision
from cloud_target.export.weights import Weight
from cloud_target.export.writing import Stored, write_model

# The operator's name for what weights are multiplied with: its "accuracy level".
_LEVELS = {"float32": 1, "int8": 4}


def quantise(graph: Graph, precision: Precision) -> Graph:
    """A draft graph of either kind with fewer bits. Its constants are packed when they are read."""
    return _Quantised(graph, precision).graph()


def with_activations(model: onnx.ModelProto, activations: str) -> onnx.ModelProto:
    """The model with other activations in all its products, "int8" or "float32"; the weights are what they were."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for node in changed.graph.node:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = _LEVELS[activations]
    return changed


def beside(stored: Stored, activations: str) -> Path:
    """A graph over the same file of constants, with other activations in all products that have packed weights."""
    path = stored.path.with_name(f"{activations}.onnx")
    write_model(with_activations(onnx.load(stored.path, load_external_data=False), activations), path)
    return path


class _Quantised:
    """A graph that is being rewritten."""

    def __init__(self, graph: Graph, precision: Precision) -> None:
        self._graph, self._precision = graph, precision
        self._matrices = {
            name for name, weight in graph.weights.items() if len(weight.shape) == 2 and weight.dtype == np.float32
        }
        products = [name for node in graph.model.graph.node if (name := self._factor(node))]
        self._products = set(products)
        self._head = products[-1] if products else None  # nothing is multiplied behind the head
        self._new: dict[str, Weight] = {}

    def graph(self) -> Graph:
        old = self._graph
        nodes = [new for node in old.model.graph.node for new in self._rewritten(node)]
        used = {name for node in nodes for name in node.input}
        model = onnx.ModelProto()
        model.CopyFrom(old.model)
        refill(model.graph.node, nodes)
        if not any(opset.domain == MICROSOFT for opset in model.opset_import):
            model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        kept = {name: weight for name, weight in old.weights.items() if name in used}
        return Graph(model, kept | self._new)

    def _rewritten(self, node: onnx.NodeProto) -> Iterable[onnx.NodeProto]:
        if (name := self._factor(node)) and (packing := self._packing(name)):
            return [self._product(node, name, packing)]
        if node.op_type == "Gather" and not _attributes(node).get("axis", 0) and node.input[0] in self._matrices:
            packing = self._packing(node.input[0])
            return self._lookup(node, packing) if packing else [node]
        return [node]

    def _factor(self, node: onnx.NodeProto) -> str | None:
        """The constant matrix that a node multiplies by, if it does nothing else."""
        if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in self._matrices:
            return None
        given = _attributes(node)
        is_plain = given.get("alpha", 1.0) == given.get("beta", 1.0) == 1.0 and not given.get("transA", 0)
        return node.input[1] if is_plain else None

    def _packing(self, name: str) -> Packing | None:
        if name == self._head:
            return self._precision.of_head
        if name in self._products and name.endswith(ATTENTION):
            return self._precision.of_attention
        return self._precision.of_body if name in self._products else self._precision.of_lookups

    def _product(self, node: onnx.NodeProto, name: str, packing: Packing) -> onnx.NodeProto:
        """MatMul or Gemm, with its bias if it has one, as MatMulNBits."""
        is_turned = not _attributes(node).get("transB", 0)
        outputs, inputs = self._graph.weights[name].shape[:: -1 if is_turned else 1]
        packed, bias = self._pack(name, is_turned, packing), list(node.input[2:])
        zeros = packed[2:] or [""]
        return helper.make_node(
            "MatMulNBits",
            [node.input[0], *packed[:2], *([*zeros, "", *bias] if any(bias) else packed[2:])],
            list(node.output),
            name=node.name,
            domain=MICROSOFT,
            K=inputs,
            N=outputs,
            bits=packing.bits,
            block_size=packing.block,
            accuracy_level=_LEVELS[self._precision.activations],
        )

    def _lookup(self, node: onnx.NodeProto, packing: Packing) -> Iterator[onnx.NodeProto]:
        """Gather of rows as GatherBlockQuantized, over the very table of the product where there is one."""
        name, out = node.input[0], node.output[0]
        rows, size = self._graph.weights[name].shape
        block, count = packing.block, packing.blocks(size)
        data, flat = self._pack(name, False, packing)
        is_shared = name in self._products
        # The product wants its table by blocks: then they are looked up as they lie, and put together behind that.
        found = f"{out}.blocks" if is_shared else out if count * block == size else f"{out}.padded"
        column = flat
        if is_shared:
            column = f"{out}.scales"
            yield self._reshaped(flat, column, [rows, count, 1])
        yield helper.make_node(
            "GatherBlockQuantized",
            [data, node.input[1], column],
            [found],
            name=node.name,
            domain=MICROSOFT,
            bits=packing.bits,
            block_size=block,
            gather_axis=0,
            quantize_axis=2 if is_shared else 1,
        )
        if is_shared:
            whole = out if count * block == size else f"{out}.padded"
            yield self._reshaped(found, whole, [0, 0, count * block])
            found = whole
        if found != out:
            ends = {f"{out}.start": 0, f"{out}.end": size, f"{out}.axis": -1}
            self._new |= {key: Weight.of(np.array([value], np.int64)) for key, value in ends.items()}
            yield helper.make_node("Slice", [found, *ends], [out], name=f"{node.name}.cut")

    def _reshaped(self, x: str, out: str, shape: list[int]) -> onnx.NodeProto:
        self._new[f"{out}.shape"] = Weight.of(np.array(shape, np.int64))
        return helper.make_node("Reshape", [x, f"{out}.shape"], [out], name=f"{out}.reshape")

    def _pack(self, name: str, is_turned: bool, packing: Packing) -> list[str]:
        """The names of a matrix's levels and scales, and of its zeros if it has some, packed by rows of its outputs."""
        kind = "product" if name in self._products else "lookup"
        names = [f"{name}.{kind}.{part}" for part in (f"int{packing.bits}", "scales", "zeros")]
        names = names[: 3 if packing.has_zeros else 2]
        if names[0] not in self._new:
            weight = self._graph.weights[name]
            matrix = weight.T if is_turned else weight
            rows, count = matrix.shape[0], packing.blocks(matrix.shape[1])
            wide = packing.block * packing.bits // 8
            found = (
                ((rows, count, wide) if kind == "product" else (rows, count * wide), np.uint8, packing.pack),
                ((rows, count), np.float32, packing.scales),
                ((rows, -(-count * packing.bits // 8)), np.uint8, packing.zeros),
            )
            for part, (shape, dtype, make) in zip(names, found, strict=False):
                self._new[part] = Weight(shape, np.dtype(dtype), partial(_made, make, matrix, shape[1:]))
        return names


def _made(
    make: Callable[[np.ndarray], np.ndarray], matrix: Weight, shape: tuple[int, ...], first: int, last: int
) -> np.ndarray:
    return make(matrix.rows(first, last)).reshape(last - first, *shape)


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
