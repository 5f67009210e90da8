"""Which systems are compared, and what a draft is taken to cost."""

from __future__ import annotations

from benchmarks.fleet.device import Device
from benchmarks.fleet.recording import SYSTEMS
from benchmarks.fleet.serving import WINDOWS, draft_share, served, systems_of
from benchmarks.fleet.traces import Pass, Trace
from benchmarks.report.systems import CLOUD, COLOCATED

RECORDED = {
    system: [Trace(8, 20, [Pass(0.01, 8), Pass(0.01, 12, shown=10)], right=(True, True, False, True) * 5)]
    for system in SYSTEMS
}


def test_every_system_is_tried_and_the_best_window_counts() -> None:
    assert [*systems_of(RECORDED)] == [*SYSTEMS, CLOUD, COLOCATED]
    assert len(systems_of(RECORDED)[COLOCATED]) == len(WINDOWS)
    found = served(RECORDED, [10.0], [Device(base=0.2, per_token=0.004)], lambda _: None)
    assert len(found) == len(SYSTEMS) + 2
    assert all(0 <= one.weights <= 1 for one in found)
    plain, beside = (next(one for one in found if one.system.startswith(name)) for name in (CLOUD, COLOCATED))
    assert beside.system.startswith(COLOCATED)
    assert plain.alone.joined == 1.0


def test_a_step_of_the_draft_costs_a_small_part_of_a_pass() -> None:
    assert 0.005 < draft_share() < 0.2
