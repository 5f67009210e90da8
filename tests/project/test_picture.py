"""The picture in README is of the size that it is taken in, and light enough for a page that is opened often."""

from __future__ import annotations

import runpy

from tests.project.tree import ROOT

HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def test_the_picture_is_as_it_was_taken_and_not_heavy():
    made = runpy.run_path(str(ROOT / "docs" / "screenshot.py"))
    picture = made["PICTURE"].read_bytes()
    assert picture.startswith(HEAD)
    size = made["WIDTH"].to_bytes(4, "big") + made["HEIGHT"].to_bytes(4, "big")
    assert picture[len(HEAD) :][:8] == size, "run: python -m docs.screenshot"
    assert len(picture) <= 200_000
