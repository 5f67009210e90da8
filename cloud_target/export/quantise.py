"""A draft graph with weights in 8 or 4 bits: the same graph, with other operators and packed constants.

Every product with a constant matrix, the output head included, becomes onnxruntime's MatMulNBits: a scale for each
block of weights, activations in 8 bits as they come, or in float32. Token embeddings are stored in the same way; where
they are the head's weights, too, there is one table for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from cloud_target.export.builder import MICROSOFT, Graph, refill
from cloud_target.export.packing import blocks_of, pack, scales
from cloud_target.export.precision import Precision
from cloud_target.export.weights import Weight
from cloud_target.export.writing import Stored, write_model

# Of a weight that is looked up only: bits cost no time there.
LOOKUP_BITS = 8
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
        if (name := self._factor(node)) and self._bits(name) < 32:
            return [self._product(node, name)]
        if node.op_type == "Gather" and not _attributes(node).get("axis", 0) and node.input[0] in self._matrices:
            return self._lookup(node) if self._bits(node.input[0]) < 32 else [node]
        return [node]

    def _factor(self, node: onnx.NodeProto) -> str | None:
        """The constant matrix that a node multiplies by, if it does nothing else."""
        if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in self._matrices:
            return None
        given = _attributes(node)
        is_plain = given.get("alpha", 1.0) == given.get("beta", 1.0) == 1.0 and not given.get("transA", 0)
        return node.input[1] if is_plain else None

    def _bits(self, name: str) -> int:
        if name == self._head:
            return self._precision.head_bits
        return self._precision.bits if name in self._products else LOOKUP_BITS

    def _product(self, node: onnx.NodeProto, name: str) -> onnx.NodeProto:
        """MatMul or Gemm, with its bias if it has one, as MatMulNBits."""
        is_turned = not _attributes(node).get("transB", 0)
        outputs, inputs = self._graph.weights[name].shape[:: -1 if is_turned else 1]
        bias = list(node.input[2:])
        return helper.make_node(
            "MatMulNBits",
            [node.input[0], *self._pack(name, is_turned), *(["", "", *bias] if any(bias) else [])],
            list(node.output),
            name=node.name,
            domain=MICROSOFT,
            K=inputs,
            N=outputs,
            bits=self._bits(name),
            block_size=self._precision.block,
            accuracy_level=_LEVELS[self._precision.activations],
        )

    def _lookup(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Gather of rows as GatherBlockQuantized, over the very table of the product where there is one."""
        name, out = node.input[0], node.output[0]
        rows, size = self._graph.weights[name].shape
        block = self._precision.block
        count = blocks_of(size, block)
        data, flat = self._pack(name, False)
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
            bits=self._bits(name),
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

    def _pack(self, name: str, is_turned: bool) -> tuple[str, str]:
        """The names of a matrix's levels and scales, which are packed row by row of its outputs."""
        bits, block, weight = self._bits(name), self._precision.block, self._graph.weights[name]
        kind = "product" if name in self._products else "lookup"
        data, flat = f"{name}.{kind}.int{bits}", f"{name}.{kind}.scales"
        if data not in self._new:
            matrix = weight.T if is_turned else weight
            rows, count = matrix.shape[0], blocks_of(matrix.shape[1], block)

            def packed(first: int, last: int) -> np.ndarray:
                return pack(matrix.rows(first, last), bits, block).reshape(last - first, *shape[1:])

            def scaled(first: int, last: int) -> np.ndarray:
                return scales(matrix.rows(first, last), bits, block)

            size = block * bits // 8
            shape = (rows, count, size) if kind == "product" else (rows, count * size)
            self._new[data] = Weight(shape, np.dtype(np.uint8), packed)
            self._new[flat] = Weight((rows, count), np.dtype(np.float32), scaled)
        return data, flat


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
