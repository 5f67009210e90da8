"""Opening graphs that somebody else has made."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_client.inference.runtime import open_session
from shared.errors import BundleError


@pytest.mark.parametrize("place", ["../secret.bin", "{there}"])
def test_a_graph_cannot_read_other_files_of_the_device(tmp_path: Path, place: str) -> None:
    """Else what is in them could become weights, tokens, and so what the target is sent."""
    onnx = pytest.importorskip("onnx")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"sixteen letters.")
    weights = onnx.TensorProto(name="w", data_type=onnx.TensorProto.UINT8, dims=[16])
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=place.format(there=secret))
    node = onnx.helper.make_node("Identity", ["w"], ["y"])
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, [16])
    graph = onnx.helper.make_graph([node], "g", [], [output], [weights])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "draft.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"cannot load .*draft\.onnx"):
        open_session(bundle / "draft.onnx", 1)
