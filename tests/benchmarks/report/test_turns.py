"""Turns: everybody writes the same prompts, each in another order, as long as there is time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report.figures import Peaks, Place
from benchmarks.report.paced import Work
from benchmarks.report.plan import BASELINES_EVERY, LINKS, Allowance, Plan
from benchmarks.report.prompts import Prompt
from benchmarks.report.systems import CLOUD
from benchmarks.report.turns import Writer, summed_up, take_turns
from edge_client.usage.audit_counts import AuditCounts
from tests.benchmarks.report.made import made_text

PROMPTS = [Prompt([number], number) for number in range(7)]


class Desk:
    """Scripted writers, whose texts take a second of the clock and a pass of the target each."""

    def __init__(self) -> None:
        self.now, self.done = 0.0, []

    def writer(self, name: str, is_ours: bool = True, judge=None) -> Writer:
        def write(prompt: Prompt):
            self.now += 1
            self.done.append((name, prompt.seed))
            return made_text(total_ms=10.0)

        return Writer(
            name, is_ours, "", write, lambda: Work(self.now, self.now, self.now), lambda: Peaks(None, 1.0), judge
        )


def test_order_rotates_and_baselines_write_every_third() -> None:
    desk = Desk()
    writers = [desk.writer("one"), desk.writer("other", is_ours=False), desk.writer(CLOUD)]
    samples = take_turns(writers, PROMPTS, 100.0, lambda: desk.now)
    assert [name for name, _ in desk.done[:5]] == ["one", "other", CLOUD, CLOUD, "one"]
    for name in ("one", CLOUD):
        assert [sample.prompt for sample in samples[name]] == [*range(len(PROMPTS))]
    assert [sample.prompt for sample in samples["other"]] == [*range(0, len(PROMPTS), BASELINES_EVERY)]
    assert all(sample.work == Work(1, 1, 1) for some in samples.values() for sample in some)


def test_time_runs_out_between_prompts_but_not_before_the_first() -> None:
    desk = Desk()
    samples = take_turns([desk.writer("one"), desk.writer(CLOUD)], PROMPTS, -1.0, lambda: desk.now)
    assert [len(some) for some in samples.values()] == [1, 1]
    desk.now = 0.0
    samples = take_turns([desk.writer("one"), desk.writer(CLOUD)], PROMPTS, 3.5, lambda: desk.now)
    assert [len(some) for some in samples.values()] == [2, 2]


def test_what_the_target_has_not_seen_is_judged_and_that_is_not_its_work() -> None:
    desk = Desk()

    def judge(prompt: Prompt) -> AuditCounts:
        desk.now += 10
        return AuditCounts(10, 10, off_strict=3)

    writers = [desk.writer("local", judge=judge), desk.writer(CLOUD)]
    samples = take_turns(writers, PROMPTS[:2], 100.0, lambda: desk.now)
    local, cloud = samples["local"], samples[CLOUD]
    assert [sample.text.counts.off_strict for sample in local] == [3, 3]
    assert {sample.work.passes for sample in [*local, *cloud]} == {1}


def test_figures_come_in_the_order_of_the_writers() -> None:
    desk = Desk()
    names = ["one", "other", CLOUD]
    writers = [desk.writer(name) for name in names]
    found = summed_up(Place("lan", 1.0, 0.0), writers, take_turns(writers, PROMPTS, 100.0, lambda: desk.now))
    assert [one.system for one in found] == names
    assert {(one.link, one.texts, one.speed_up, one.passes) for one in found} == {("lan", len(PROMPTS), 1.0, 0.1)}


@given(st.floats(0, 100), st.lists(st.floats(0, 5), min_size=2, max_size=14))
def test_places_that_keep_to_their_shares_end_in_time_and_no_share_is_lost(minutes, early) -> None:
    desk = Desk()
    places = [Place(LINKS[i % len(LINKS)], 10.0 * i, 25.0 * (i % 2)) for i in range(len(early))]
    allowance = Allowance.over(Plan(), places, minutes)
    allowance.clock = lambda: desk.now
    for left in early:
        until = allowance.next()
        assert desk.now <= until <= minutes + 1e-6
        desk.now = max(until - left, desk.now)
    if not any(early):
        assert abs(desk.now - minutes) < 1e-6


def test_a_simulated_step_has_its_own_number_of_texts() -> None:
    plan = Plan(prompts=9, simulated=4)
    assert [plan.prompts_at(Place("lan", 1.0, step)) for step in (0.0, 25.0)] == [9, 4]
