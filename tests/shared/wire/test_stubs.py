"""The checked-in stubs are what the contract generates, byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from shared.wire.v1 import target_pb2_grpc as stubs

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.skipif(
    version("grpcio-tools") != stubs.GRPC_GENERATED_VERSION, reason="another generator writes another header"
)
def test_regeneration_gives_the_same_bytes(tmp_path):
    environment = os.environ | {"PYTHON": sys.executable, "OUT": str(tmp_path)}
    subprocess.run([ROOT / "proto" / "generate.sh"], env=environment, check=True)
    generated = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert [path.name for path in generated] == ["target_pb2.py", "target_pb2.pyi", "target_pb2_grpc.py"]
    for path in generated:
        assert (tmp_path / path).read_bytes() == (ROOT / path).read_bytes(), path
