"""The tree of errors is whole: every error there is, drawn where it stands, with a reason and a status of its own."""

from __future__ import annotations

import ast
import builtins
import inspect
import re

import pytest

from cloud_target.server.statuses import STATUSES
from edge_client.cli.arguments import parse_args
from shared import errors
from tests.project.tree import PACKAGES, ROOT

TREE = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}


def classes() -> list[tuple[str, str, list[str]]]:
    """Every class of the packages: the file that it is in, its name, and the names of what it derives from."""
    return [
        (str(path.relative_to(ROOT)), node.name, [ast.unparse(base).rpartition(".")[2] for base in node.bases])
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]


def is_library_error(name: str) -> bool:
    """Whether a class of Python's own or of a library is an Exception; theirs go by their names."""
    own = getattr(builtins, name, None)
    return issubclass(own, Exception) if inspect.isclass(own) else name.endswith(("Error", "Exception"))


def drawn() -> dict[str, str | None]:
    """Each error that the docstring draws, and the one that it hangs from."""
    parents: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r" {4}([ │├└─]*)([A-Z]\w+)", line):
            depth, name = len(found[1]), found[2]
            above = [(at, other) for at, other in above if at < depth]
            parents[name] = above[-1][1] if above else None
            above.append((depth, name))
    return parents


def test_every_error_is_in_the_tree() -> None:
    """What is raised to end a process (a KeyboardInterrupt) is no error; every other exception is."""
    every, known = classes(), set()
    while True:
        found = {
            name: path for path, name, bases in every if any(base in known or is_library_error(base) for base in bases)
        }
        if known == set(found):
            break
        known = set(found)
    elsewhere = {name: path for name, path in found.items() if path != "shared/errors.py"}
    assert elsewhere == {"ApiError": "edge_client/server/errors.py"}, "which is an answer, and never leaves the server"
    del found["ApiError"]
    known = set(found)
    assert known == set(TREE)


def test_the_docstring_draws_the_tree() -> None:
    roots = {"TandemError": None}
    assert drawn() == roots | {name: kind.__base__.__name__ for name, kind in TREE.items() if name not in roots}


def test_every_error_has_a_reason_of_its_own() -> None:
    reasons = [vars(kind).get("reason", "") for kind in TREE.values()]
    assert [reason for reason in reasons if not re.fullmatch(r"[A-Z]+(_[A-Z]+)*", reason)] == []
    assert len(set(reasons)) == len(reasons)


def test_every_error_has_a_status() -> None:
    assert set(TREE.values()) == set(STATUSES)


def test_every_error_ends_a_program_with_a_status_above_0() -> None:
    assert all(kind.exit_status > 0 for kind in TREE.values())


# Who writes a program has no command line: only the command line's own modules name its options.
LIBRARY = [
    path
    for path in [*(ROOT / "edge_client").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]
    if "cli" not in path.relative_to(ROOT).parts and path.name != "version.py"
]


def test_sentences_of_the_library_name_no_command_line_options() -> None:
    found = []
    for path in LIBRARY:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [node.value for node in said if id(node) not in documented and re.search(r"--[a-z]", node.value)]
    assert found == []


def test_options_that_would_help_are_options_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["serve"]):
        with pytest.raises(SystemExit):
            parse_args([*command, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    helpful = {
        f"--{option.value.partition(' ')[0].replace('_', '-')}"
        for path in LIBRARY
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "options"
        for option in ast.walk(node.value)
        if isinstance(option, ast.Constant)
    }
    assert {"--target", "--mode", "--temperature"} <= helpful
    assert helpful <= known
