"""Types: mypy is content, and the list of modules that it leaves alone (pyproject.toml) holds no clean one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.tree import ROOT, is_generated, pyproject

STRICT = ("edge_client", "shared")
MYPY = pyproject()["tool"]["mypy"]


def excused() -> list[str]:
    """The modules whose errors are not shown; those that a tool generates are another matter."""
    lists = [override["module"] for override in MYPY["overrides"] if override.get("ignore_errors")]
    return [name for names in lists for name in names if "*" not in name]


def configuration() -> str:
    """mypy's configuration without that list."""
    tables = [("[tool.mypy]", {key: value for key, value in MYPY.items() if key != "overrides"})]
    tables += [
        ("[[tool.mypy.overrides]]", table) for table in MYPY["overrides"] if not {*table["module"]} & {*excused()}
    ]
    lines = [line for head, table in tables for line in (head, *(f"{key} = {json.dumps(table[key])}" for key in table))]
    return "\n".join(lines)


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def test_strict_knows_no_exceptions() -> None:
    assert [name for name in excused() if name.partition(".")[0] in STRICT] == []


def test_the_list_names_modules_that_there_are_in_order() -> None:
    paths = [path for package in MYPY["files"] for path in (ROOT / package).rglob("*.py") if not is_generated(path)]
    assert set(excused()) - {module_of(path.relative_to(ROOT)) for path in paths} == set()
    assert excused() == sorted(set(excused()))


@pytest.mark.slow
def test_the_list_names_no_module_that_is_clean(tmp_path: Path) -> None:
    """The rest is clean with the list, so without it the modules with errors are those on the list, and all of them."""
    path = tmp_path / "mypy.toml"
    path.write_text(configuration(), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", path]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    errors = re.findall(r"^(([\w/]+\.py):\d+: error: .*)$", run.stdout, re.MULTILINE)
    assert [line for line, path in errors if module_of(Path(path)) not in excused()] == []
    clean = set(excused()) - {module_of(Path(path)) for _, path in errors}
    assert clean == set(), "take these off the list in pyproject.toml"
