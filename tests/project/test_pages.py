"""What the pages name is there: files and folders, commands, modules that they run, and options."""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache

import pytest

from tests.project.test_readme import commands, problem
from tests.project.tree import PACKAGES, ROOT

CARDS = ("edge_client/models/pocket/README.md", "cloud_target/models/pocket_target/README.md")
# All but the changelog, which says what was.
PAGES = [
    *sorted({*ROOT.glob("*.md")} - {ROOT / "CHANGELOG.md"}),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / card for card in CARDS),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
FOLDERS = (*PACKAGES, "benchmarks", "deploy", "docs", "proto", "tests")

# Options of programs that are not ours.
FOREIGN = {
    "docker": {"--build", "--no-deps", "--profile", "--rm", "--volumes"},
    "kubectl": {"--from-file"},
    "vllm": {
        *("--block-size", "--generation-config", "--headless", "--master-addr", "--max-model-len", "--max-num-seqs"),
        *("--nnodes", "--node-rank", "--pipeline-parallel-size", "--quantization", "--tensor-parallel-size"),
    },
}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def paths(text: str) -> set[str]:
    """Paths in the tree: in prose, in code, and in what links lead to."""
    folders = "|".join(FOLDERS)
    found = set(re.findall(rf"(?<![\w./-])(?:{folders})/(?:[\w./-]*[\w/])?", text))
    found |= set(re.findall(r"`([\w.-]+/[\w./-]*\.(?:py|md|proto|sh|toml|yml|json|txt))`", text))
    return found


def links(text: str) -> set[str]:
    """Where the links of a page lead, other pages of the web left out."""
    return {link for link in re.findall(r"\]\(([^)#\s]+)[^)\s]*\)", text) if "://" not in link}


def flags(text: str) -> set[str]:
    """The long options that a page names."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text))


@cache
def known_flags() -> set[str]:
    """Every long option that a program of the tree takes, and those of others that the pages show."""
    sources = [path for folder in (*PACKAGES, "benchmarks", "deploy") for path in (ROOT / folder).rglob("*.py")]
    words = {
        node.value
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    ours = {word for word in words if re.fullmatch(r"--[a-z][a-z-]*[a-z]", word)}
    return ours.union({"--help"}, *FOREIGN.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_path_is_there(name: str) -> None:
    text = read(name)
    assert sorted(path for path in paths(text) if not (ROOT / path).exists()) == []
    assert sorted(link for link in links(text) if not ((ROOT / name).parent / link).exists()) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_command_parses(name: str) -> None:
    assert [found for words in commands(read(name)) if (found := problem(words))] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_module_that_is_run_is_there(name: str) -> None:
    modules = set(re.findall(r"python[\d.]* -m ((?:benchmarks|cloud_target|edge_client|tests)[\w.]*)", read(name)))
    assert sorted(module for module in modules if importlib.util.find_spec(module) is None) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_there(name: str) -> None:
    assert sorted(flags(read(name)) - known_flags()) == []


def test_what_is_not_there_is_seen() -> None:
    text = "See `edge_client/nothing.py`, [it](nowhere.md#here), (docs/none.md), `engine/none.py`, and --no-such-thing."
    assert paths(text) == {"edge_client/nothing.py", "docs/none.md", "engine/none.py"}
    assert links(text) == {"nowhere.md"}
    assert flags(text) == {"--no-such-thing"}
    assert "--no-prefix-caching" in known_flags()
    assert "--no-such-thing" not in known_flags()


def test_folders_and_addresses_are_told_apart() -> None:
    text = "`cloud_target/engine`, tests/cloud_target/sessions. https://example.org/docs/none and runs/docs/none"
    assert paths(text) == {"cloud_target/engine", "tests/cloud_target/sessions"}


def test_pages_are_read() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/protocol.md", "docs/python.md"} <= set(NAMES)
