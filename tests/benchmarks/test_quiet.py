"""No command touches the network or the disk beyond what it was told to; nor does a library that it brings."""

from __future__ import annotations

import sys

import pytest

from benchmarks.quiet import GROUPS, asks, watch_all
from benchmarks.watching import Place, Watch, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why := why_not()), reason=f"nothing can be watched here: {why}"),
]

# Longer than it takes onnxruntime to report for the first time.
SECONDS = 10.0
# `python -m benchmarks.quiet` watches these too: to compile a model takes a minute.
TOO_SLOW = ("train target", "train draft", "cloud-target prepare")


@pytest.mark.parametrize("asking", [True, False], ids=["asking a target", "alone"])
def test_no_command_touches_what_it_was_not_told_to(tmp_path, asking):
    groups = [
        group
        for group in GROUPS
        if asks(group) == asking and not any(word in case.command for word in TOO_SLOW for case in group)
    ]
    assert len(groups) > 5
    outcomes = watch_all(tmp_path, SECONDS, groups, at_once=8)
    assert len(outcomes) == len(groups) + (2 if asking else 0)
    assert {outcome.case.command: [*outcome.foreign, outcome.trouble] for outcome in outcomes} == {
        outcome.case.command: [""] for outcome in outcomes
    }


def test_the_watch_would_have_seen_onnxruntime_report(tmp_path):
    """The same process with the switch taken away again; earlier versions had nothing to report."""
    onnxruntime = pytest.importorskip("onnxruntime", minversion="1.29")
    place = Place(tmp_path / "place")
    place.make()
    program = "import edge_client, os; del os.environ['ORT_DISABLE_TELEMETRY']; import onnxruntime"
    watch = Watch([sys.executable, "-c", program], place)
    watch.end()
    assert watch.status == 0, onnxruntime.__version__
    assert any("/.cache/" in line for line in watch.foreign())
