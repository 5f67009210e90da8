"""The profile of a draft's step names its products, and the head's is the longest of the embedded one."""

from __future__ import annotations

from benchmarks.step_nodes import nodes
from edge_client.bundles.pocket import POCKET


def test_every_node_is_told_of_once_the_longest_first() -> None:
    found = nodes(POCKET, 5)
    spans = list(found.values())
    assert spans == sorted(spans, reverse=True)
    assert len([name for name in found if "(GroupQueryAttention)" in name]) == 2  # a layer each
    assert len([name for name in found if name.startswith("Gemm_")]) == 1  # the head
