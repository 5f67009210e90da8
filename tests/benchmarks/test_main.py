"""`python -m benchmarks`: what is measured, and where it is written, in one small run of everything."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

import pytest

from benchmarks.__main__ import main, plan_of
from benchmarks.peers import run
from benchmarks.peers.autodraft import AUTODRAFT
from benchmarks.report.plan import QUICK, Plan
from benchmarks.report.systems import CLOUD, systems_of
from edge_client.settings import Settings
from shared.errors import InputError

NOTHING = dict.fromkeys(("prompts", "simulated", "tokens", "minutes", "links"))


def test_what_is_given_goes_before_the_plan() -> None:
    assert plan_of(Namespace(quick=False, **NOTHING)) == Plan()
    assert plan_of(Namespace(quick=True, **NOTHING)) == QUICK
    given = plan_of(Namespace(quick=True, **NOTHING | {"prompts": 7, "links": ["far"]}))
    assert (given.prompts, given.links, given.tokens) == (7, ["far"], QUICK.tokens)


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("inf"), float("nan")])
def test_a_run_takes_some_time(minutes) -> None:
    with pytest.raises(InputError, match="--minutes must be above 0"):
        plan_of(Namespace(quick=False, **NOTHING | {"minutes": minutes}))


@pytest.mark.slow
def test_one_small_run_of_everything(monkeypatch, capsys, tmp_path) -> None:
    words = ["--quick", "--prompts", "1", "--simulated", "1", "--tokens", "6", "--links", "none", "--minutes", "0.1"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words, "--out", str(tmp_path)])
    monkeypatch.setattr(run, "PEERS", (AUTODRAFT,))  # tests/benchmarks/peers/test_main.py tries the other one
    assert main() == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "benchmarks.md")
    assert "simulated step of 25 ms" in printed.err
    found = json.loads((tmp_path / "benchmarks" / "figures.json").read_text())
    figures, peers = found["figures"], {row["system"]: row for row in found["peers"]}
    assert {"exact", CLOUD, "AutoDraft"} <= peers.keys()
    assert peers["exact"]["equal"] == 1.0
    over = [one for one in figures if one["link"] == "none"]
    assert {(one["system"], one["step_ms"]) for one in over} == {
        (system.name, step) for system in systems_of(Settings()) for step in (0.0, 25.0)
    }
    simulated = {one["system"]: one for one in over if one["step_ms"]}
    # All write the target's own text: with its help, beside it, and in windows.
    for name in ("exact", "cloud that speculates", "fixed window, gumbel"):
        assert simulated[name]["same_text"] == 1.0
    assert simulated["fixed window, gumbel"]["chosen"].startswith("window ")
    assert simulated[CLOUD]["passes"] == 1.0
    assert simulated[CLOUD]["busy_ms"] >= 25.0
    assert simulated["local"]["passes"] == 0.0
