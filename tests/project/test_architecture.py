"""The page about the architecture: each step of a life has its one file, and the floors drawn are those that hold."""

from __future__ import annotations

import re

import pytest

from tests.project.tree import ROOT, pyproject

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TREES = ("edge_client", "cloud_target")


def section(title: str) -> str:
    """What stands under a heading."""
    [text] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return text


def steps(title: str) -> list[tuple[int, str]]:
    """The items of the numbered list under a heading."""
    found = re.findall(r"^(\d+)\. (.*\n(?:   .*\n)*)", section(title), re.MULTILINE)
    return [(int(number), text) for number, text in found]


def layers(tree: str) -> list[str]:
    """The floors of a tree as the import rules have them, the highest first."""
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    [floors] = [rule["layers"] for rule in contracts if rule["type"] == "layers" and rule["containers"] == [tree]]
    return floors


@pytest.mark.parametrize("title", ["A token's life", "A session's life"])
def test_each_step_of_a_life_names_the_one_file_where_it_happens(title: str) -> None:
    found = steps(title)
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    assert 5 <= len(found) <= 10
    files = [re.findall(r"[\w./-]+\.py\b", text) for _, text in found]
    assert [(number, names) for number, names in enumerate(files, 1) if len(names) != 1] == []
    assert [name for [name] in files if not (ROOT / name).is_file()] == []
    assert len({name for [name] in files}) == len(files), "every step has a file of its own"


def test_the_floors_drawn_are_those_of_the_import_rules() -> None:
    [drawing] = re.findall(r"^    edge_client +cloud_target\n\n((?:    .*\n)+)", PAGE, re.MULTILINE)
    columns = [re.split(r" {3,}", line.strip()) for line in drawing.splitlines()]
    for number, tree in enumerate(TREES):
        assert [row[number] for row in columns if number < len(row)] == layers(tree)


@pytest.mark.parametrize("tree", TREES)
def test_every_package_has_its_sentence(tree: str) -> None:
    [table] = re.findall(rf"^\| `{tree}/` \|.*\n\|-.*\n((?:\|.*\n)+)", section("The packages"), re.MULTILINE)
    named = re.findall(r"^\| `(\w+)` \| \S", table, re.MULTILINE)
    assert named == [name for floor in layers(tree) for name in floor.split(" | ")], "in the order of the floors"
