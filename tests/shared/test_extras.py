"""A package that only some installations have is missed in one sentence."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from shared.extras import PACKAGES, missing
from tests.project.tree import ROOT

_TRAINING = ("onnx", "onnxruntime", "onnxscript", "optimum", "matplotlib", "tqdm")
# By files that are found first, as a process that this one begins finds them, too.
_HIDDEN = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
del sys.argv[:2]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
_MISSING = "raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)"


def test_the_packages_are_those_of_the_extras():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = {
        re.split(r"[\[<>=~]", line)[0]
        for name in ("edge", "cloud", "export", "gguf", "train", "otel")
        for line in extras[name]
    }
    brought = {
        name for name, whose in packages_distributions().items() if asked & {name.replace("_", "-") for name in whose}
    }
    ours = {"cloud_target", "edge_client", "shared"}  # for "train" brings "export", and that "cloud"
    unused = {"functorch", "torchgen", "pylab", "mpl_toolkits"}
    assert {name for name in brought if not name.startswith("_")} - ours - unused == PACKAGES


def test_other_packages_and_our_own_modules_are_not_explained_away():
    for name in ("numpy", "cloud_target.export", "", None):
        assert missing(ModuleNotFoundError("no", name=name), "it", "edge") is None
    found = missing(ModuleNotFoundError("no", name="onnx.helper"), "it", "train")
    assert str(found) == (
        "it needs the package onnx, which is not installed; install Tandem's extra train: in its directory, "
        'pip install ".[train]"'
    )
    unfit = missing(ImportError("cannot import name 'x'\nmore", name="optimum"), "it", "train")
    assert "cannot use the package optimum that is installed (cannot import name 'x'); install" in str(unfit)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hidden", "command", "extra"),
    [
        (("torch", "transformers"), "cloud_target serve", "cloud"),
        (("grpc",), "cloud_target bench", "cloud"),
        (_TRAINING, "cloud_target export --draft x --out y", "train"),
        (_TRAINING, "cloud_target prepare --draft x --target pocket --corpus z --out y", "train"),
        (_TRAINING, "cloud_target train tokenizer x --out y", "train"),
        (_TRAINING, "cloud_target evaluate --target x --draft y --dev z", "train"),
        (("onnxruntime", "grpc"), "edge_client Once", "edge"),
        (("grpc",), "edge_client Once", "edge"),
        (("onnxruntime",), "benchmarks.demo", "edge,train"),
    ],
)
def test_every_command_names_the_extra_that_it_lacks(hidden, command, extra, tmp_path):
    for name in hidden:
        (tmp_path / f"{name}.py").write_text(_MISSING)
    words = [sys.executable, "-c", _HIDDEN, str(tmp_path), *command.split()]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in run.stderr
    assert f'pip install ".[{extra}]"' in run.stderr.splitlines()[-1]
    assert run.returncode in (1, 2)


@pytest.mark.slow
def test_a_program_that_uses_the_library_learns_it_too():
    program = "import sys\nsys.modules['onnxruntime'] = None\nimport edge_client\nedge_client.Edge"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stderr.splitlines()[-1].startswith("ImportError: edge_client.Edge needs the package onnxruntime")
