"""Graphs that are written piece by piece are what onnx itself writes and reads."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.export.builder import Graph, GraphBuilder, tensor
from cloud_target.export.graph import shared_buffer_graph
from cloud_target.export.precision import Precision
from cloud_target.export.quantise import quantise
from cloud_target.export.runner import Runner
from cloud_target.export.weights import Weight
from cloud_target.export.writing import fits, write_apart, write_in_one, write_model
from shared.manifest import DRAFT_DATA
from tests.cloud_target.export.checkpoints import CONTEXT, build

DTYPES = st.sampled_from([np.float32, np.int64, np.uint8, np.int32, np.bool_])
SHAPES = st.lists(st.integers(0, 40), max_size=3).map(tuple)


def graph_of(facts) -> Graph:
    random, builder = np.random.default_rng(0), GraphBuilder()
    for number, (shape, dtype) in enumerate(facts):
        array = random.integers(0, 2, shape).astype(dtype)
        builder.add("Identity", builder.weight(f"w{number}", array), out=f"y{number}")
    outputs = [tensor(f"y{number}", dtype, shape) for number, (shape, dtype) in enumerate(facts)]
    return builder.graph([], outputs)


@given(st.lists(st.tuples(SHAPES, DTYPES), max_size=5))
def test_in_one_file_it_is_byte_for_byte_what_protobuf_writes(tmp_path_factory, facts):
    graph, path = graph_of(facts), tmp_path_factory.mktemp("one") / "graph.onnx"
    counted = []
    write_in_one(graph, path, counted.append)
    assert path.read_bytes() == graph.whole().SerializeToString()
    assert sum(counted) == graph.nbytes
    assert [one.name for one in path.parent.iterdir()] == ["graph.onnx"]


@given(st.lists(st.tuples(SHAPES, DTYPES), max_size=5))
def test_apart_onnx_reads_the_same_and_the_graph_names_the_digest(tmp_path_factory, facts):
    graph, directory = graph_of(facts), tmp_path_factory.mktemp("apart")
    stored = write_apart(graph, directory)
    read = onnx.load(stored.path)
    data = (directory / DRAFT_DATA).read_bytes()
    assert {one.key: one.value for one in read.metadata_props} == {"weights": hashlib.sha256(data).hexdigest()}
    del read.metadata_props[:]
    for one in read.graph.initializer:
        one.ClearField("data_location")
        assert [place.key for place in one.external_data] == []
    assert read == graph.whole()
    assert stored.graph.whole() == graph.whole()
    for one in onnx.load(stored.path, load_external_data=False).graph.initializer:
        places = {place.key: place.value for place in one.external_data}
        assert not places or (places["location"] == DRAFT_DATA and int(places["offset"]) % 4096 == 0)


def test_a_graph_apart_has_another_digest_when_its_weights_have(tmp_path):
    graphs = [quantise(shared_buffer_graph(build("llama"), CONTEXT), Precision()) for _ in range(2)]
    name = "layer.0.down.product.int8"
    changed = graphs[1].weights[name].array() ^ 1
    graphs[1].weights[name] = Weight.of(changed)
    one, other = (write_apart(graph, tmp_path / str(i)).path for i, graph in enumerate(graphs))
    assert onnx.load(one, load_external_data=False).graph == onnx.load(other, load_external_data=False).graph
    assert one.read_bytes() != other.read_bytes()


def test_onnxruntime_runs_both_forms_alike(tmp_path):
    graph = quantise(shared_buffer_graph(build("qwen2"), CONTEXT), Precision("int4"))
    stored = write_apart(graph, tmp_path / "apart")
    write_in_one(stored.graph, tmp_path / "one.onnx")
    found = [Runner(each, CONTEXT).feed([1, 2, 3]) for each in (stored.path, tmp_path / "one.onnx", graph)]
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name])
        np.testing.assert_array_equal(values, found[2][name])


def test_what_is_too_large_for_one_file_is_known_before_it_is_read():
    def refuse(first, last):
        raise AssertionError("nothing is read")

    shell = onnx.ModelProto()
    for count, does_fit in ((2**31 - 100, True), (2**31 - 1, False), (2**40, False)):
        assert fits(Graph(shell, {"w": Weight((count,), np.dtype(np.uint8), refuse)})) == does_fit


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    def fail(first, last):
        raise OSError("no space left on device")

    path = tmp_path / "graph.onnx"
    write_model(graph_of([((2,), np.float32)]).whole(), path)
    before = path.read_bytes()
    broken = Graph(onnx.ModelProto(), {"w": Weight((2000,), np.dtype(np.float32), fail)})
    with pytest.raises(OSError, match="no space"):
        write_in_one(broken, path)
    with pytest.raises(OSError, match="no space"):
        write_apart(broken, tmp_path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["graph.onnx"]
