"""Who may import what, and what an installation brings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.project.tree import PACKAGES, ROOT, modules, pyproject

# The parts of cloud_target that need the extra `train`.
TRAINING = {"distil", "export", "prepare", "training"}
# And those that need `otel`.
TRACING = {"spans.py", "otlp.py"}


@pytest.mark.slow
def test_the_import_rules_hold() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def loaded_by(names: list[str]) -> set[str]:
    """Top-level modules that a fresh interpreter holds after importing these."""
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.slow
def test_the_whole_edge_imports_without_torch() -> None:
    names = [name for package in ("shared", "edge_client") for name in modules(package) if "__main__" not in name]
    loaded = loaded_by(names)
    assert "edge_client" in loaded
    assert not loaded & {"torch", "transformers", "optimum", "onnx", "safetensors", "cloud_target"}


@pytest.mark.slow
def test_the_cloud_serves_without_what_only_training_needs() -> None:
    names = [name for name in modules("cloud_target") if not {*name.split(".")} & {"__main__", *TRAINING}]
    loaded = loaded_by(names)
    assert "cloud_target" in loaded
    assert not loaded & {"optimum", "onnx", "onnxscript", "onnxruntime", "edge_client"}


def test_every_directory_of_modules_is_a_package() -> None:
    directories = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert [str(d.relative_to(ROOT)) for d in sorted(directories) if not (d / "__init__.py").exists()] == []


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    """Distributions that the base and these extras ask for by name, and the extras that they are made of."""
    project = pyproject()["project"]
    lines, waiting = list(project["dependencies"]), list(extras)
    while waiting:
        for line in project["optional-dependencies"][waiting.pop()]:
            if project["name"] in line:
                waiting += Requirement(line).extras
            else:
                lines.append(line)
    return {normalised(Requirement(line).name) for line in lines}


def imported(sources: list[Path]) -> dict[str, str]:
    """Third-party top-level modules that these files import anywhere, with one file that does."""
    found = {}
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            found |= {name.partition(".")[0]: str(source.relative_to(ROOT)) for name in names}
    ours = {"benchmarks", "tests", "__future__", *PACKAGES}
    return {name: where for name, where in found.items() if name not in sys.stdlib_module_names | ours}


@pytest.mark.parametrize(
    ("folder", "without", "extras"),
    [
        ("shared", {"wire", "grammar"}, []),
        ("shared/grammar", set(), ["edge"]),
        ("shared/grammar", set(), ["cloud"]),
        ("shared/wire", set(), ["edge"]),
        ("edge_client", set(), ["edge"]),
        ("cloud_target", TRAINING | TRACING | {"gguf", "vllm"}, ["cloud"]),
        ("cloud_target", TRACING, ["cloud", "train", "gguf", "vllm"]),
        ("cloud_target/telemetry", set(), ["cloud", "otel"]),
        # The demo needs no more than the two sides, the report what training without optimum needs; what changes or
        # trains models needs all, and what speaks HTTP/2 by hand what tests need.
        (
            "benchmarks",
            {"report", "peers", "siege", "scenarios.py", "heads.py", "learning.py", "envoy.py"},
            ["edge", "cloud"],
        ),
        ("benchmarks/report", set(), ["edge", "export"]),
        ("benchmarks/peers", set(), ["edge", "export"]),
        ("benchmarks/siege", set(), ["edge", "cloud", "test"]),
        ("benchmarks", {"siege", "envoy.py"}, ["edge", "cloud", "train"]),
        ("benchmarks", {"siege"}, ["edge", "cloud", "train", "deploy"]),
        ("deploy", set(), ["cloud"]),
        # vLLM brings the Triton that it knows.
        ("tests", {"interpreted"}, ["edge", "cloud", "train", "dev"]),
    ],
)
def test_whatever_is_imported_is_declared(folder: str, without: set[str], extras: list[str]) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    sources = [path for path in paths if not without & {*path.relative_to(ROOT / folder).parts}]
    distributions = packages_distributions()
    undeclared = {
        name: where
        for name, where in imported(sources).items()
        if not {normalised(d) for d in distributions.get(name, [name])} & declared(*extras)
    }
    assert undeclared == {}
