"""The whole page about the embedded pair, with a few texts: every part measures, and none is measured twice."""

from __future__ import annotations

import shutil
import sys

import pytest

from benchmarks.real_pair import __main__ as real_pair
from benchmarks.real_pair.plan import Plan
from cloud_target.engine.files import POCKET as TARGET
from edge_client.bundles.pocket import POCKET

pytestmark = pytest.mark.slow
FEW = Plan(
    texts=2, tokens=12, equal=1, equal_tokens=8, answers=2, prompts=1, links=(0,), steps=(0,), seconds=6, samples=1,
    processes=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A directory with the bundle, and the page made there."""
    work = tmp_path_factory.mktemp("pair")
    shutil.copytree(POCKET, work / "bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real_pair, "QUICK", FEW)
        patch.setattr(sys, "argv", ["real_pair", str(TARGET), "--work", str(work), "--quick"])
        assert real_pair.main() == 0
        yield work, patch


def test_every_part_is_there(finished, capsys):
    work, _ = finished
    page = (work / "page.md").read_text()
    titles = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert titles == [title for title, _ in real_pair.SECTIONS.values()]
    assert "2 questions, one after the other under each budget." in page
    assert page.count("`python -m benchmarks.real_pair ") == len(titles)
    equal = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith(("| 0 ", "| 0.7 ", "| 1 "))][:3]
    assert [[cell.strip() for cell in row][1::2] for row in equal] == [["1", "1"]] * 3


def test_what_is_finished_is_kept(finished, monkeypatch):
    work, _ = finished
    before = (work / "page.md").read_text()
    again = {name: (title, _fails) for name, (title, _) in real_pair.SECTIONS.items()}
    monkeypatch.setattr(real_pair, "SECTIONS", again)
    assert real_pair.main() == 0
    assert (work / "page.md").read_text() == before


def test_some_parts_are_a_page_too(finished, monkeypatch):
    work, _ = finished
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--parts", "steps", "promise", "--out", str(work / "some.md")])
    assert real_pair.main() == 0
    titles = [line for line in (work / "some.md").read_text().splitlines() if line.startswith("## ")]
    assert titles == [f"## {real_pair.SECTIONS[name][0]}" for name in ("steps", "promise")]


def _fails(*_: object) -> str:
    raise AssertionError("it is measured again")
