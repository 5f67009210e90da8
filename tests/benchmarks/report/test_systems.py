"""The table of systems: names are told apart, and each has the settings of its mode."""

from __future__ import annotations

from benchmarks.report.asker import UNSTEERED
from benchmarks.report.systems import CLOUD, COLOCATED, PAPER, PAPERS_CAP, systems_of
from edge_client.settings import Settings
from shared.config import Coupling, Mode

BASE = Settings(temperature=0.3, top_p=0.8, max_tokens=33)


def test_names_are_told_apart_and_sampling_is_everybodys() -> None:
    systems = systems_of(BASE)
    assert len({system.name for system in systems}) == len(systems)
    assert {(one.settings.sampling, one.settings.max_tokens) for one in systems} == {(BASE.sampling, 33)}


def test_the_first_is_the_default_and_ours_are_its_modes() -> None:
    systems, usual = systems_of(BASE), Settings()
    first = systems[0].settings
    assert (first.mode, first.criterion, first.budget) == (usual.mode, usual.criterion, usual.budget)
    assert {one.settings.mode for one in systems if one.is_ours} >= {Mode.SPRINT, Mode.EXACT, Mode.LOCAL, Mode.CLOUD}


def test_baselines_are_what_they_are_called() -> None:
    found = {one.name: one for one in systems_of(BASE)}
    paper = found[PAPER].settings
    assert (paper.coupling, paper.window, paper.budget) == (Coupling.RESIDUAL, PAPERS_CAP, UNSTEERED)
    assert {one.settings.coupling for one in found.values() if one.tunes == "window"} == {*Coupling}
    assert all(one.settings.budget == UNSTEERED for one in found.values() if one.score)
    assert [one.name for one in found.values() if one.is_colocated] == [COLOCATED]
    assert found[CLOUD].settings.mode is Mode.CLOUD
