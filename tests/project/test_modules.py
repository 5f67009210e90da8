"""The page of modules lists those that there are, and each says what it is for."""

from __future__ import annotations

import ast
import runpy

from tests.project.tree import PACKAGES, ROOT, is_generated


def test_the_page_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "module_map.py"))["page"]()
    assert (ROOT / "docs" / "modules.md").read_text(encoding="utf-8") == page, "run: python docs/module_map.py"


def test_every_module_and_every_package_says_what_it_is_for() -> None:
    paths = [
        path
        for package in (*PACKAGES, "benchmarks", "deploy", "docs", "tests")
        for path in (ROOT / package).rglob("*.py")
    ]
    silent = [
        str(path.relative_to(ROOT))
        for path in paths
        if not is_generated(path) and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []
