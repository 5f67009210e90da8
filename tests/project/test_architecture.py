"""The page about the architecture lists the modules that there are, in their own words."""

from __future__ import annotations

import re
import runpy

from tests.project.tree import ROOT

PAGE = ROOT / "docs" / "architecture.md"


def test_the_list_of_modules_is_up_to_date():
    page = PAGE.read_text(encoding="utf-8")
    updated = runpy.run_path(str(ROOT / "docs" / "module_map.py"))["updated"](page)
    assert page == updated, "run: python docs/module_map.py"


def test_every_file_that_the_page_names_is_there():
    for path in re.findall(r"`((?:shared|edge_client|cloud_target)/[\w/]+\.py)`", PAGE.read_text(encoding="utf-8")):
        assert (ROOT / path).is_file(), path
