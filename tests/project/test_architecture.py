"""The page about the architecture names files that there are."""

from __future__ import annotations

import re

from tests.project.tree import ROOT

PAGE = ROOT / "docs" / "architecture.md"


def test_every_file_that_the_page_names_is_there():
    for path in re.findall(r"`((?:shared|edge_client|cloud_target)/[\w/]+\.py)`", PAGE.read_text(encoding="utf-8")):
        assert (ROOT / path).is_file(), path
