"""8-bit graphs: the weights are nearly the same, and a draft that would write other tokens is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.export.builder import GraphBuilder, tensor
from cloud_target.export.check import probe_ids
from cloud_target.export.graph import shared_buffer_graph
from cloud_target.export.quantise import BLOCK, agreement, quantise, write_texts
from cloud_target.export.runner import Runner
from shared.config import Sampling
from tests.cloud_target.export.checkpoints import CONTEXT, VOCABULARY, build
from tests.cloud_target.export.optimum import concat_graph


@settings(max_examples=30, deadline=None)
@given(
    inputs=st.integers(1, 3 * BLOCK),
    outputs=st.integers(1, 40),
    rows=st.integers(1, 5),
    op=st.sampled_from(["MatMul", "Gemm", "Gemm, transposed", "Gemm with bias"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_product_is_nearly_the_same(inputs, outputs, rows, op, seed):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(inputs, outputs)).astype(np.float32)
    x = rng.normal(size=(rows, inputs)).astype(np.float32)
    graph = GraphBuilder()
    stored = graph.weight("w", weight.T if op == "Gemm, transposed" else weight)
    bias = [graph.weight("b", np.full(outputs, 2, np.float32))] if op == "Gemm with bias" else []
    attributes = {"transB": 1} if op == "Gemm, transposed" else {}
    graph.add(op.split()[0].rstrip(","), "x", stored, *bias, out="y", **attributes)
    model = graph.model([tensor("x", np.float32, ["n", inputs])], [tensor("y", np.float32, ["n", outputs])])

    small = quantise(model)
    assert [node.op_type for node in small.graph.node] == ["MatMulNBits"]
    exact, near = (onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0] for m in (model, small))
    # Both factors are rounded to one part in 127 of the largest of their block.
    scale = np.abs(weight).max() * np.abs(x).max() / 127
    assert np.abs(exact - near).max() <= 2 * scale * np.sqrt(inputs) + 1e-6


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
def test_quantised_draft_draws_nearly_the_same_tokens(kind):
    model = build(kind)
    graph = shared_buffer_graph(model, CONTEXT)
    small = quantise(graph)
    operators = Counter(node.op_type for node in small.graph.node)
    assert not {"MatMul", "Gemm"} & set(operators)
    assert small.ByteSize() < 0.5 * graph.ByteSize()
    exact = Runner(graph, CONTEXT)
    texts = write_texts(exact, [0], 3, CONTEXT)
    agreed = agreement(exact, Runner(small, CONTEXT), texts, Sampling())
    assert agreed.tokens == 3 * CONTEXT
    # Random weights give flat distributions, the worst case; a trained draft agrees more.
    assert agreed.sampled > 0.85
    assert agreed.greedy > 0.85


def test_concat_graph_can_be_quantised_too():
    model = build("qwen2")
    graph = concat_graph(model)
    small = quantise(graph)
    ids = probe_ids(VOCABULARY, CONTEXT)
    agreed = agreement(Runner(graph, CONTEXT), Runner(small, CONTEXT), [ids], Sampling())
    assert small.ByteSize() < 0.7 * graph.ByteSize()
    assert agreed.sampled > 0.85


def test_a_draft_agrees_with_itself_and_not_with_another():
    one, other = (Runner(shared_buffer_graph(build(kind), CONTEXT), CONTEXT) for kind in ("llama", "qwen2"))
    texts = write_texts(one, [0], 2, CONTEXT)
    same = agreement(one, one, texts, Sampling(seed=5))
    assert (same.greedy, same.sampled) == (1.0, 1.0)
    assert agreement(one, other, texts, Sampling(seed=5)).sampled < 0.3


def test_texts_are_what_the_draft_would_write_and_differ_by_seed():
    runner = Runner(shared_buffer_graph(build("llama"), CONTEXT), CONTEXT)
    texts = write_texts(runner, [3, 4], 2, 12)
    assert [text[:2] for text in texts] == [[3, 4]] * 2
    assert [len(text) for text in texts] == [12, 12]
    assert texts[0] != texts[1]
    assert write_texts(runner, [3, 4], 2, 12) == texts
