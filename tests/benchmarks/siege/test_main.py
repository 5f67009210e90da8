"""A tiny siege, true in all its parts; nothing of it is a figure that hangs on the machine."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks.siege import __main__ as siege
from benchmarks.siege.kinds import KINDS

CONNECTIONS = 2 * len(KINDS)
PHASES = ("alone", "beside", "after", "neighboured")


@pytest.mark.slow
def test_a_tiny_siege(monkeypatch, capsys, tmp_path):
    path = tmp_path / "siege.json"
    sizes = ["--connections", str(CONNECTIONS), "--devices", "2", "--rounds", "1", "--seconds", "1"]
    monkeypatch.setattr(sys, "argv", ["siege", *sizes, "--json", str(path)])
    assert siege.main() == 0
    told, progress = capsys.readouterr()
    assert "memory that strangers took, MB" in told
    assert f"beside {CONNECTIONS} strangers" in progress
    [one] = json.loads(path.read_text())["all kinds"]
    assert one["strangers"].keys() == {kind.name for kind in KINDS}
    assert all(counts.get("came", 0) >= 1 for counts in one["strangers"].values()), one["strangers"]
    assert one["strangers"]["never send"]["bytes"] > 0
    assert one["alone"]["held"], "devices were answered"
    assert one["after"]["held"], "and are again when the strangers have left"
    assert sum(one[phase]["wrong"] for phase in PHASES) == 0
    assert one["most"] >= one["before"]["resident"] > 1 << 20
    assert one["left"]["descriptors"] <= one["before"]["descriptors"] + 2
    assert one["cores"][0] > 0
    assert one["neighboured"]["held"]


def test_its_help_shows_examples_and_kinds(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["siege", "--help"])
    with pytest.raises(SystemExit):
        siege.main()
    told = capsys.readouterr().out
    assert "python -m benchmarks.siege --quick" in told
    assert all(kind.name in told for kind in KINDS)
