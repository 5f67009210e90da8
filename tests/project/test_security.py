"""docs/security.md: the table of who can do what names everything that the service offers, and tests that are there."""

from __future__ import annotations

import re

from cloud_target.server.health import SERVICE as HEALTH
from cloud_target.server.reflecting import SERVICE as REFLECTION
from shared.wire.v1 import target_pb2 as wire
from tests.project.tree import ROOT

PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
ROWS = [
    line for line in PAGE.partition("## Who can do what")[2].partition("\n\nThe tests")[0].splitlines() if "`" in line
]
TESTS = {path.name: path for path in (ROOT / "tests/cloud_target").rglob("test_*.py")}


def test_every_bound_has_a_test_that_is_there() -> None:
    assert len(ROWS) > 15
    for row in ROWS:
        shown = re.findall(r"`(test_\w+\.py)`", row.rstrip("|").rpartition("|")[2])
        assert shown, f"no test shows this: {row}"
        assert set(shown) <= TESTS.keys(), row


def test_the_tests_lie_where_it_says() -> None:
    folders = set(re.findall(r"`(tests/cloud_target/[\w/]+)`", PAGE))
    for name in re.findall(r"`(test_\w+\.py)`", "".join(ROWS)):
        assert str(TESTS[name].parent.relative_to(ROOT)) in folders, name


def test_everything_that_can_be_called_is_in_it() -> None:
    """Each service, each call of ours, and the port that is no gRPC."""
    offered = {"health": HEALTH, "reflection": REFLECTION}
    calls = {method.name for method in wire.DESCRIPTOR.services_by_name["TargetService"].methods}
    for word in (*offered, "metrics port", "Describe", "Release"):
        assert any(word in row for row in ROWS), word
    assert calls == {"Describe", "Decode", "Release", "FetchBundle"}, "a new call: give it a row, and a test"
