"""Writing a graph with its constants, a piece at a time: into one file, or with the constants in a file beside it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import helper, numpy_helper

from cloud_target.export.builder import Graph
from cloud_target.export.weights import Weight
from shared.manifest import DRAFT_DATA

# An ONNX file is one protobuf message, and a message cannot be larger.
LARGEST_MODEL = 2**31 - 1
# Bytes of a constant from which on it lies in the file beside the graph: shapes and axes are looked at early.
_LEAST_APART = 1024
# A constant begins at a page, so that it can be mapped into memory.
_PAGE = 4096
# The wire format's numbers of `ModelProto.graph`, `GraphProto.initializer` and `TensorProto.raw_data`.
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
_BYTES = 2  # its type of a field that has a length

Part = TypeVar("Part", bound=Message)
Wrote = Callable[[int], None]


def write_model(model: onnx.ModelProto, path: str | Path) -> None:
    """Write a small model so that a reader sees either the whole file or none."""
    with _whole_or_none(Path(path)) as file:
        file.write(model.SerializeToString())


@dataclass(frozen=True)
class Stored:
    """A graph that lies in a file, its constants beside it.

    Attributes:
        path: of the graph.
        graph: the same, its constants read from the file.
    """

    path: Path
    graph: Graph


def fits(graph: Graph) -> bool:
    """Whether one ONNX file can hold it."""
    before, after = _around(graph)
    return len(before) + len(after) + _constants_size(graph) <= LARGEST_MODEL


def write_in_one(graph: Graph, path: str | Path, wrote: Wrote = lambda _: None) -> None:
    """Write a graph and its constants into one file: byte for byte what protobuf would write of it, in little memory.

    Args:
        wrote: is told how many bytes of constants were written now.
    """
    before, after = _around(graph)
    inside, outside = _split(graph.model, _GRAPH)
    with _whole_or_none(Path(path)) as file:
        file.write(inside + _field(_GRAPH, len(before) + len(after) + _constants_size(graph)) + before)
        for name, weight in graph.weights.items():
            head = _head(name, weight)
            size = weight.nbytes
            file.write(_field(_INITIALIZER, len(head) + len(_field(_RAW_DATA, size)) + size))
            file.write(head + _field(_RAW_DATA, size))
            for piece in weight.pieces():
                file.write(piece.tobytes())
                wrote(piece.nbytes)
        file.write(after + outside)


def write_apart(graph: Graph, directory: Path, wrote: Wrote = lambda _: None) -> Stored:
    """Write a graph, and its constants into a file beside it, `DRAFT_DATA`, from where they can be mapped into memory.

    The graph names the SHA-256 of that file, so that its own digest is one of the weights, too.

    Args:
        directory: made if need be.
        wrote: as in `write_in_one`.
    """
    directory.mkdir(exist_ok=True)
    path, data = directory / "draft.onnx", directory / DRAFT_DATA
    model, stored, digest = onnx.ModelProto(), {}, hashlib.sha256()
    model.CopyFrom(graph.model)
    with _whole_or_none(data) as file:
        for name, weight in graph.weights.items():
            if weight.nbytes < _LEAST_APART:
                model.graph.initializer.append(numpy_helper.from_array(weight.array(), name))
                stored[name] = weight
                continue
            padding = bytes(-file.tell() % _PAGE)
            offset = file.tell() + len(padding)
            for piece in chain([padding], (one.tobytes() for one in weight.pieces())):
                file.write(piece)
                digest.update(piece)
                wrote(len(piece))
            place = {"location": data.name, "offset": offset, "length": weight.nbytes}
            constant = model.graph.initializer.add(
                name=name,
                dims=weight.shape,
                data_type=helper.np_dtype_to_tensor_dtype(weight.dtype),
                data_location=onnx.TensorProto.EXTERNAL,
            )
            for key, value in place.items():
                constant.external_data.add(key=key, value=str(value))
            stored[name] = _on_disk(data, offset, weight)
    model.metadata_props.add(key="weights", value=digest.hexdigest())
    write_model(model, path)
    return Stored(path, Graph(graph.model, stored))


def _on_disk(path: Path, offset: int, weight: Weight) -> Weight:
    width = weight.nbytes // weight.shape[0]

    def rows(first: int, last: int) -> np.ndarray:
        count = (last - first) * width // weight.dtype.itemsize
        found = np.fromfile(path, weight.dtype, count, offset=offset + first * width)
        return found.reshape(last - first, *weight.shape[1:])

    return Weight(weight.shape, weight.dtype, rows)


def _constants_size(graph: Graph) -> int:
    """Of the field of all constants, as protobuf writes it."""
    total = 0
    for name, weight in graph.weights.items():
        size = len(_head(name, weight)) + len(_field(_RAW_DATA, weight.nbytes)) + weight.nbytes
        total += len(_field(_INITIALIZER, size)) + size
    return total


def _head(name: str, weight: Weight) -> bytes:
    """All of a constant but its values."""
    kind = helper.np_dtype_to_tensor_dtype(weight.dtype)
    return onnx.TensorProto(name=name, dims=weight.shape, data_type=kind).SerializeToString()


def _around(graph: Graph) -> tuple[bytes, bytes]:
    """What stands before and behind the constants within the graph's own message."""
    return _split(graph.model.graph, _INITIALIZER)


def _split(message: Message, number: int) -> tuple[bytes, bytes]:
    """The fields of a message before and behind that of a number, as protobuf writes them."""
    parts = []
    for is_kept in (lambda one: one < number, lambda one: one > number):
        part = type(message)()
        part.CopyFrom(message)
        for field in message.DESCRIPTOR.fields:
            if not is_kept(field.number):
                part.ClearField(field.name)
        parts.append(part.SerializePartialToString())
    return parts[0], parts[1]


def _field(number: int, size: int) -> bytes:
    """What stands before the `size` bytes of a field."""
    return _varint(number << 3 | _BYTES) + _varint(size)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


@contextmanager
def _whole_or_none(path: Path) -> Iterator[IO[bytes]]:
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(scratch, "wb") as file:
            yield file
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
