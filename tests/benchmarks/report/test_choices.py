"""Windows and thresholds for baselines: the best on the prompts for choices, which alone are written."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report.choices import BUDGETS, OURS, SHARES, WINDOWS, Choices, Trial, best_window, choose
from benchmarks.report.prompts import Prompts
from benchmarks.report.systems import ASKERS, PAPER, PAPERS_THRESHOLD, systems_of
from edge_client.settings import Settings
from edge_client.usage.audit_counts import AuditCounts
from shared.config import Criterion, Mode
from tests.benchmarks.report.made import made_text

PROMPTS = Prompts.of([[number] for number in range(8)])
TRIALS = st.dictionaries(
    st.sampled_from(WINDOWS),
    st.lists(st.builds(Trial, st.floats(0.1, 20), st.floats(0.05, 1)), min_size=3, max_size=3),
    min_size=1,
)


@given(TRIALS, st.floats(0, 300))
def test_the_best_window_takes_least_time_in_all_where_calls_are_slower(trials, slower) -> None:
    def time(window: int) -> float:
        return float(np.mean([trial.ms + slower * trial.calls for trial in trials[window]]))

    assert time(best_window(trials, slower)) <= min(map(time, trials)) + 1e-9


@given(TRIALS, st.floats(0, 100), st.floats(0, 200))
def test_the_longer_the_link_the_fewer_the_calls(trials, slower, more) -> None:
    calls = [sum(trial.calls for trial in trials[best_window(trials, ms)]) for ms in (slower, slower + more)]
    assert calls[1] <= calls[0] + 1e-6


class FakeDevice:
    """Writes texts that diverge the more, the higher the threshold or the budget is, and remembers after what."""

    def __init__(self) -> None:
        self.prompts, self.windows, self.connected = [], [], 0

    def connect(self, address: str) -> None:
        self.connected += 1

    def write(self, ids, settings, threshold=None):
        self.prompts.append((tuple(ids), settings.seed))
        self.windows.append(settings.window)
        text = made_text(range(100), total_ms=100 / (settings.window or 1))
        share = settings.budget if threshold is None else float(np.clip(threshold, 0, 1))
        object.__setattr__(text, "counts", AuditCounts(100, 100, round(100 - 100 * share), round(100 * share)))
        return text

    def scores(self) -> list[float]:
        return np.linspace(0, 1, 101).tolist()


def test_choices_are_made_for_what_needs_them_on_the_prompts_given() -> None:
    systems = systems_of(Settings())
    devices = {system.name: FakeDevice() for system in systems}
    prompts, told = PROMPTS.to_choose(3), []
    choices = choose(systems, devices, "host:1", prompts, told.append)
    for device in devices.values():
        assert {*device.prompts} <= {(tuple(prompt.ids), prompt.seed) for prompt in prompts}
    assert {*choices.curves} == {*map(OURS.format, Criterion), PAPER, *ASKERS}
    assert {*choices.trials} == {system.name for system in systems if system.tunes == "window"}
    assert {*devices["fixed window, gumbel"].windows} == {*WINDOWS}
    for name in ASKERS:
        # The default's divergence here is its budget, and a threshold's is itself.
        assert abs(choices.thresholds[name] - Settings().budget) < 0.01
    assert choices.thresholds[PAPER] == PAPERS_THRESHOLD
    assert [len(choices.curves[OURS.format(one)]) for one in Criterion] == [len(BUDGETS[one]) for one in Criterion]
    assert len(choices.curves[PAPER]) == len(SHARES) + 1
    assert len(told) == 2 + 2 + 1 + len(ASKERS)


def test_a_system_is_settled_by_what_was_chosen_for_it() -> None:
    choices = Choices(trials={"fixed window, gumbel": {2: [Trial(1, 0.5)], 8: [Trial(3, 0.2)]}})
    systems = {system.name: system for system in systems_of(Settings())}
    near = choices.settled(systems["fixed window, gumbel"], 1.0)
    far = choices.settled(systems["fixed window, gumbel"], 100.0)
    assert (near[0].window, near[2], far[0].window, far[2]) == (2, "window 2", 8, "window 8")
    assert choices.settled(systems[PAPER], 1.0)[1:] == (PAPERS_THRESHOLD, "threshold 0.5")
    assert choices.settled(systems["exact"], 1.0) == (systems["exact"].settings, None, "")
    assert systems["exact"].settings.mode is Mode.EXACT
