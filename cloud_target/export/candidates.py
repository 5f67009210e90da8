"""The end of every draft graph: from hidden states and logits to what the edge needs of a distribution.

NumPy on the device then has some dozens of candidates to work on, not the whole vocabulary. All logits are an output
too: the device looks at them only where a draw goes beyond the candidates. Graphs from before lack that one.

    top_ids         int64 [r, K]      the likeliest tokens, best first
    top_logits      float32 [r, K]    their raw logits
    log_normaliser  float32 [r]       log-sum-exp of all raw logits, nats
    entropy         float32 [r]       of the whole distribution at temperature 1, nats
    hidden          float32 [r, hidden]  after the final norm
    logits          float32 [r, V]    all raw logits, by id

A row is one of the n new tokens, and its distribution is that of the token after it. The input `rows`, int64 [r],
says which are wanted: of a long prompt, only the last.
"""

from __future__ import annotations

import numpy as np
import onnx

from cloud_target.export.builder import GraphBuilder, tensor

CANDIDATES = 64
OUTPUTS = ("top_ids", "top_logits", "log_normaliser", "entropy", "hidden")
EVERY = "logits"


def take_rows(graph: GraphBuilder, x: str, out: str) -> str:
    """The wanted rows ``[r, size]`` of ``[1, n, size]``."""
    wanted = graph.add("Gather", x, "rows", axis=1)
    return graph.add("Squeeze", wanted, graph.weight("batch_axis", np.array([0], np.int64)), out=out)


def summarise(graph: GraphBuilder, logits: str, count: int) -> None:
    """Add the nodes that make the first four outputs from logits ``[r, V]``.

    With p = softmax(l): ln Z = max l - ln max p, and H = ln Z - Σ p l. Of the ways to write this, one softmax is
    the fastest on a CPU; onnxruntime's ReduceLogSumExp alone takes longer than all of these nodes together.
    """
    graph.add_many("TopK", logits, graph.weight("count", np.array([count], np.int64)), out=["top_logits", "top_ids"])
    last_axis = graph.weight("last_axis", np.array([-1], np.int64))
    p = graph.add("Softmax", logits, axis=-1)
    log_largest = graph.add("Log", graph.add("ReduceMax", p, last_axis, keepdims=0))
    largest = graph.add("Gather", "top_logits", graph.weight("first", np.array(0, np.int64)), axis=1)
    graph.add("Sub", largest, log_largest, out="log_normaliser")
    mean = graph.add("ReduceSum", graph.add("Mul", p, logits), last_axis, keepdims=0)
    graph.add("Sub", "log_normaliser", mean, out="entropy")


def outputs(count: int, hidden: int, vocabulary: int) -> list[onnx.ValueInfoProto]:
    """The descriptions of the six outputs."""
    return [
        tensor("top_ids", np.int64, ["r", count]),
        tensor("top_logits", np.float32, ["r", count]),
        tensor("log_normaliser", np.float32, ["r"]),
        tensor("entropy", np.float32, ["r"]),
        tensor("hidden", np.float32, ["r", hidden]),
        tensor(EVERY, np.float32, ["r", vocabulary]),
    ]
