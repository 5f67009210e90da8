"""The blocks of Python in the docs run as they stand, against a target that serves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields

import pytest

from edge_client.settings import Settings
from tests.project.tree import ROOT

ADDRESS = "127.0.0.1:50051"  # where the docs say that the target is


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_blocks_of_a_page_run_one_after_the_other(page, pocket_target, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path))
    found = blocks(page)
    assert found
    names: dict[str, object] = {}
    for number, block in enumerate(found, 1):
        exec(compile(block.replace(ADDRESS, pocket_target.address), f"{page}, block {number}", "exec"), names)
    assert capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_blocks_of_a_page_have_the_right_types(page, tmp_path):
    """As a user's type checker sees them, through `py.typed`."""
    program = tmp_path / "program.py"
    program.write_text("\n".join(blocks(page)), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports",
        "silent",
        "--config-file",
        "",
        str(program),
    ]
    environment = {**os.environ, "MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(tmp_path / "cache")}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stderr
    assert [line for line in run.stdout.splitlines() if line.startswith(program.name)] == []


def test_the_block_in_the_readme_is_short():
    (block,) = blocks("README.md")
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    for part in (ADDRESS, "edge_client.Edge()", "edge_client.testing"):
        assert part in block


def test_the_table_of_options_is_that_of_the_settings():
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE))
    defaults = Settings()
    assert list(rows) == [field.name for field in fields(Settings)]
    for name, shown in rows.items():
        default = getattr(defaults, name)
        assert f"`{default!r}`" in shown or f'`"{default}"`' in shown, name
