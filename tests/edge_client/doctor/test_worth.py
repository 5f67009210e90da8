"""Whether splitting pays: what is told follows from what was measured."""

from __future__ import annotations

import pytest

from edge_client.auto.pace import Pace
from edge_client.bundles.bundle import Bundle
from edge_client.doctor.deadline import Deadline
from edge_client.doctor.remote import Remote
from edge_client.doctor.worth import ask_rate, worth
from edge_client.edge import Edge
from edge_client.job import Job
from edge_client.settings import Settings
from edge_client.target.description import Description
from edge_client.testing import LoopbackTransport, ScriptedTarget
from edge_client.testing.scripts import random_script
from shared.config import Mode
from shared.findings import Level


@pytest.fixture(scope="module")
def pocket() -> Bundle:
    return Bundle.load()


def measured(pocket: Bundle, target_ms: float, trip_ms: float = 1.0, **options: object) -> Remote:
    remote = Remote(None, "gpu:1", pocket, Settings(**options), Deadline(1.0))
    manifest = pocket.manifest
    remote.description = Description("target", manifest.target_fingerprint, "", 1, 1, 1, "float32")
    remote.fits, remote.pace = True, Pace(guess=trip_ms / 1e3)
    for mode in (Mode.SPRINT, Mode.CLOUD):
        remote.pace.passed(mode, [target_ms / 1e3])
    return remote


def test_a_quick_draft_beside_a_slow_target_pays(pocket):
    [found] = worth(measured(pocket, 25.0), 0.0003)
    assert (found.level, found.values["pays"]) == (Level.OK, True)
    assert found.values["sprint"] < found.values["exact"] < found.values["cloud"]
    for part in ("splitting pays, by ", "times in sprint", "the draft takes 0.30 ms", "a pass of the target 25.0 ms"):
        assert part in found.sentence


def test_a_slow_draft_on_a_long_way_does_not(pocket):
    [found] = worth(measured(pocket, 5.0, trip_ms=500.0), 0.050)
    assert (found.level, found.values["pays"]) == (Level.WARN, False)
    assert "splitting does not pay here" in found.sentence
    assert "use mode cloud" in found.sentence


def test_without_a_budget_only_exact_is_left(pocket):
    [found] = worth(measured(pocket, 25.0, budget=0), 0.0003)
    assert "sprint" not in found.values.keys() | {found.sentence}
    assert "in exact" in found.sentence


def test_nothing_is_made_up_where_nothing_was_measured(pocket):
    remote = measured(pocket, 25.0)
    assert list(worth(remote, None)) == []
    remote.pace = Pace()
    [found] = worth(remote, 0.0003)
    assert (found.level, "nobody can tell" in found.sentence) == (Level.WARN, True)
    remote.description = None
    assert list(worth(remote, 0.0003)) == []


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("budget", [0.002, 0.01, 0.05])
def test_the_share_of_asked_tokens_is_that_of_mode_auto(pocket, monkeypatch, fits, budget):
    """As an edge without any experience has it."""
    seen = []
    real = Job._asks
    monkeypatch.setattr(Job, "_asks", lambda *given: seen.append(real(*given)) or seen[-1])
    target = ScriptedTarget.of(pocket.manifest, random_script(pocket.manifest.vocabulary))
    target._fingerprint = pocket.manifest.target_fingerprint if fits else "another"
    with Edge(bundle=pocket, transport=LoopbackTransport(target), memory=False, mode="auto", budget=budget) as edge:
        edge.generate("Tom", max_tokens=1)
    assert seen == [pytest.approx(ask_rate(pocket.manifest, Settings(budget=budget), fits))]
