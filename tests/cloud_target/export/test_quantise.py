"""Graphs in few bits: products and lookups are those of the rounded weights, and a tied table is stored once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.export.agreement import agreement, said_by, write_texts
from cloud_target.export.builder import GraphBuilder, tensor
from cloud_target.export.check import ALLOWED, compare_stored, probe_ids
from cloud_target.export.graph import shared_buffer_graph
from cloud_target.export.precision import TABLE, Precision
from cloud_target.export.quantise import beside, quantise, with_activations
from cloud_target.export.runner import Runner
from cloud_target.export.writing import write_apart
from shared.config import Sampling
from tests.cloud_target.export.checkpoints import CONTEXT, VOCABULARY, build
from tests.cloud_target.export.optimum import concat_graph

PRECISIONS = st.builds(
    Precision,
    st.sampled_from(["int8", "int4"]),
    st.sampled_from([32, 64, 128]),
    st.sampled_from(["int8", "float32"]),
    st.sampled_from(["int8", "float32", "int4"]),
)


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)


@settings(deadline=None)
@given(
    inputs=st.integers(1, 300),
    outputs=st.integers(1, 40),
    rows=st.integers(1, 5),
    op=st.sampled_from(["MatMul", "Gemm", "Gemm, transposed", "Gemm with bias"]),
    precision=PRECISIONS,
    seed=st.integers(0, 2**32 - 1),
)
def test_a_product_is_that_of_the_rounded_weights(inputs, outputs, rows, op, precision, seed):
    random = np.random.default_rng(seed)
    weight = random.normal(size=(outputs, inputs)).astype(np.float32)
    x = random.normal(size=(rows, inputs)).astype(np.float32)
    builder = GraphBuilder()
    stored = builder.weight("w", weight if op == "Gemm, transposed" else weight.T)
    bias = [builder.weight("b", np.full(outputs, 2, np.float32))] if op == "Gemm with bias" else []
    attributes = {"transB": 1} if op == "Gemm, transposed" else {}
    builder.add(op.split()[0].rstrip(","), "x", stored, *bias, out="middle", **attributes)
    # The last product is the head's, and may have other bits.
    builder.add("MatMul", "middle", builder.weight("head", np.eye(outputs, dtype=np.float32)), out="y")
    graph = builder.graph(
        [tensor("x", np.float32, ["n", inputs])],
        [tensor("middle", np.float32, ["n", outputs]), tensor("y", np.float32, ["n", outputs])],
    )
    small = quantise(graph, precision).whole()
    kinds = [node.op_type for node in small.graph.node]
    assert kinds == ["MatMulNBits", "MatMul" if precision.head == "float32" else "MatMulNBits"]
    truth = x.astype(np.float64) @ precision.of_body.rounded(weight).T + (2 if bias else 0)
    found, _ = run(with_activations(small, "float32"), x=x)
    np.testing.assert_allclose(found, truth, atol=1e-4)
    found, _ = run(small, x=x)
    # Rounded activations are off by half of one part in 127 of the largest of their block.
    off = 0 if precision.activations == "float32" else np.abs(x).max() / 254 * np.abs(weight).max() * inputs
    np.testing.assert_allclose(found, truth, atol=off + 1e-4)


@settings(deadline=None)
@given(
    rows=st.integers(1, 40),
    width=st.integers(1, 300),
    rank=st.integers(1, 3),
    is_tied=st.booleans(),
    precision=PRECISIONS,
    seed=st.integers(0, 2**32 - 1),
)
def test_a_lookup_gives_the_rounded_rows_whatever_the_width(rows, width, rank, is_tied, precision, seed):
    random = np.random.default_rng(seed)
    rank = 2 if is_tied else rank  # ids of one text, as drafts have them
    table = random.normal(size=(rows, width)).astype(np.float32)
    ids = random.integers(0, rows, (1, 2, 3)[:rank])
    builder = GraphBuilder()
    found = builder.add("Gather", builder.weight("table", table), "ids", out="found")
    builder.add("Gemm", "x", builder.weight("table" if is_tied else "head", table), out="y", transB=1)
    graph = builder.graph(
        [tensor("ids", np.int64, ["d"] * rank), tensor("x", np.float32, ["n", width])],
        [tensor(found, np.float32, ["d"] * rank + [width]), tensor("y", np.float32, ["n", rows])],
    )
    small = quantise(graph, precision)
    packing = precision.of_head if is_tied else precision.of_lookups
    truth = packing.rounded(table) if packing else table
    found, _ = run(small.whole(), ids=ids, x=np.zeros((1, width), np.float32))
    np.testing.assert_allclose(found, truth[ids], rtol=1e-6)
    levels = [name for name, weight in small.weights.items() if weight.dtype == np.uint8]
    assert len(levels) == (0 if packing is None else 1 if is_tied or precision.head == "float32" else 2)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize("precision", [*TABLE, Precision(activations="float32")], ids=str)
def test_a_draft_computes_what_torch_does_with_the_same_weights(tmp_path, kind, precision):
    model = build(kind)
    stored = write_apart(quantise(shared_buffer_graph(model, CONTEXT), precision), tmp_path)
    plain = beside(stored, "float32")
    ids = probe_ids(VOCABULARY, CONTEXT)
    assert compare_stored(plain, model, CONTEXT, ids, precision).largest < ALLOWED / 5
    operators = Counter(node.op_type for node in onnx.load(plain, load_external_data=False).graph.node)
    assert not {"MatMul", "Gemm"} & set(operators) or precision.head == "float32"


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
def test_a_draft_in_8_bits_draws_nearly_the_same_tokens(kind):
    model = build(kind)
    graph = shared_buffer_graph(model, CONTEXT)
    small = quantise(graph, Precision())
    assert small.nbytes < 0.5 * graph.nbytes
    exact = Runner(graph, CONTEXT)
    truth = [said_by(exact, text, Sampling()) for text in write_texts(exact, [0], 3, CONTEXT)]
    agreed = agreement(truth, Runner(small, CONTEXT), Sampling())
    assert agreed.tokens == 3 * CONTEXT
    # Random weights give flat distributions, the worst case; a trained draft agrees more.
    assert agreed.sampled > 0.85
    assert agreed.greedy > 0.85


def test_a_tied_embedding_is_stored_once():
    graph = shared_buffer_graph(build("llama"), CONTEXT)
    small = quantise(graph, Precision())
    of_table = [name for name in small.weights if name.startswith("embedding")]
    assert sorted(of_table) == ["embedding.product.int8", "embedding.product.scales"]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_in_4_bits_queries_keys_and_values_have_8(kind):
    """Where activations are rounded; with others onnxruntime unpacks 8-bit weights at every step."""

    def bits(precision):
        small = quantise(shared_buffer_graph(build(kind), CONTEXT), precision)
        products = [node for node in small.model.graph.node if node.op_type == "MatMulNBits"]
        found = {node.input[1].split(".product")[0]: onnx.helper.get_node_attr_value(node, "bits") for node in products}
        is_attention = {name: name.endswith("qkv") for name in found}
        return [{found[name] for name in found if is_attention[name] is kind} for kind in (True, False)]

    assert bits(Precision("int4", head="int4")) == [{8}, {4}]
    assert bits(Precision("int4", activations="float32", head="float32")) == [{4}, {4}]


def test_concat_graph_can_be_quantised_too():
    graph = concat_graph(build("qwen2"))
    small = quantise(graph, Precision())
    text = probe_ids(VOCABULARY, CONTEXT)
    agreed = agreement([said_by(Runner(graph, CONTEXT), text, Sampling())], Runner(small, CONTEXT), Sampling())
    assert small.nbytes < 0.7 * graph.nbytes
    assert agreed.sampled > 0.85
