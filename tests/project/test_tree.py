"""What holds for every file of the project."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.project.tree import ROOT, files, is_generated, need, pyproject

SOURCES = (".py", ".proto", ".sh", ".toml", ".yml", ".html", ".css", ".js", ".md")
LONGEST = 400

# Where one person's machine keeps things; the user that the images make is no person.
MACHINE = re.compile(r"(?<![\w./-])/(?:work|root|Users|home(?!/tandem\b))/\w")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_no_file_is_long() -> None:
    lengths = {str(p.relative_to(ROOT)): len(read(p).splitlines()) for p in files(*SOURCES) if not is_generated(p)}
    lengths.pop("docs/modules.md")  # a tool writes it, and a line a module is no length
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_merge_left_its_marks() -> None:
    marks = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    found = [path.relative_to(ROOT) for path in files(*SOURCES, "", ".txt", ".json") if marks.search(read(path))]
    assert found == []


def test_no_path_of_one_machine() -> None:
    found = []
    for path in files(*SOURCES, "", ".txt", ".json", ".Dockerfile"):
        for number, line in enumerate(read(path).splitlines(), 1):
            if MACHINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert found == []


@pytest.mark.parametrize("parts", [("home", "anna", "x"), ("root", "x"), ("work", "main", "x"), ("Users", "anna")])
def test_a_path_of_one_machine_is_seen(parts: tuple[str, ...]) -> None:
    path = "/".join(("", *parts))
    assert MACHINE.search(f'path = "{path}"')
    assert MACHINE.search(f"see {path}")
    assert not MACHINE.search(f"https://example.org{path}")


def test_no_merge_is_left_half_done() -> None:
    marks = re.compile(r"^(?:<{7} |={7}$|>{7} )", re.MULTILINE)
    assert [str(path.relative_to(ROOT)) for path in files(*SOURCES, "", ".txt") if marks.search(read(path))] == []


def test_generators_are_seeded_where_results_must_repeat() -> None:
    unseeded = re.compile(r"(?:default_rng|RandomState|Random|SeedSequence)\(\)")
    found = [path.relative_to(ROOT) for path in files(".py") if unseeded.search(read(path))]
    assert [str(path) for path in found if path.parts[0] in ("benchmarks", "tests")] == []


def test_the_scripts_exist() -> None:
    for script in pyproject()["project"]["scripts"].values():
        module, _, function = script.partition(":")
        need(f"{module.replace('.', '/')}.py")
        assert callable(getattr(importlib.import_module(module), function))


def test_the_licence_is_whole() -> None:
    licence = read(ROOT / "LICENSE")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
