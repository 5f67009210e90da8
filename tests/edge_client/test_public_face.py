"""The public face: what `import edge_client` offers, and what it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edge_client


def test_all_tells_the_truth():
    assert sorted(edge_client.__all__) == sorted(set(edge_client.__all__))
    for name in edge_client.__all__:
        assert getattr(edge_client, name) is not None
    assert set(dir(edge_client)) == set(edge_client.__all__)
    assert {*edge_client._HOME_OF, "__version__"} == set(edge_client.__all__)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(edge_client.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module != "typing"
        for alias in node.names
    }
    assert imported == {(home, name) for name, home in edge_client._HOME_OF.items()}
    assert (Path(edge_client.__file__).parent / "py.typed").is_file()


def test_what_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Device'"):
        _ = edge_client.Device


@pytest.mark.slow
def test_importing_it_loads_nothing_heavy():
    program = "import sys, edge_client; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "edge_client" in run.stdout.split()
    assert not {"numpy", "onnxruntime", "grpc", "google", "tokenizers"} & {*run.stdout.split()}
