"""Graphs that optimum makes; where there is none, as beside transformers 5, the tests that want them are skipped."""

from __future__ import annotations

from importlib.util import find_spec

import onnx
import pytest
from transformers import PreTrainedModel

from cloud_target.export.builder import Graph

needs_optimum = pytest.mark.skipif(find_spec("optimum") is None, reason="needs optimum")


def concat_graph(model: PreTrainedModel) -> Graph:
    """See `cloud_target.export.optimum_graph.concat_graph`."""
    pytest.importorskip("optimum")
    from cloud_target.export import optimum_graph

    return optimum_graph.concat_graph(model)


def optimum_graph(model: PreTrainedModel) -> onnx.ModelProto:
    """See `cloud_target.export.optimum_graph.optimum_graph`."""
    pytest.importorskip("optimum")
    from cloud_target.export import optimum_graph

    return optimum_graph.optimum_graph(model)
