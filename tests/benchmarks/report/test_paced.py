"""A target that takes its time says what it would have said, no sooner than it should, and counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report.paced import PacedEngine, Work
from cloud_target.engine.interface import Feed
from cloud_target.engine.scripted import ScriptedEngine, random_script
from shared.config import Sampling


class Time:
    """A clock that only sleeping, and the engine's own work, move on."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.slept += seconds


class Slow(ScriptedEngine):
    """A scripted target whose passes take a while."""

    def __init__(self, time: Time, seconds: float) -> None:
        super().__init__(random_script(16), 16)
        self._time, self._seconds = time, seconds

    def forward(self, feeds):
        self._time.now += self._seconds
        return super().forward(feeds)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=8), st.floats(0, 1))
def test_a_pass_lasts_as_long_as_it_takes_and_at_least_a_step(works, step) -> None:
    time, counters = Time(), [0.0, 0.0]
    for work in works:
        engine = PacedEngine(Slow(time, work), step, counters, time.clock, time.sleep)
        begin = time.now
        engine.forward([Feed(0, 0, (1, 2, 3), 2, Sampling())])
        assert abs(time.now - begin - max(work, step)) < 1e-9
    assert counters[0] == len(works)
    assert abs(counters[1] - time.now) < 1e-9
    assert abs(time.slept - sum(max(step - work, 0) for work in works)) < 1e-9


def test_it_says_what_the_engine_says_and_keeps_what_it_keeps() -> None:
    time, plain = Time(), ScriptedEngine(random_script(16), 16)
    inner = Slow(time, 0.0)
    paced = PacedEngine(inner, 0.5, [0.0, 0.0], time.clock, time.sleep)
    feeds = [Feed(0, 0, (1, 2, 3), 1, Sampling()), Feed(1, 0, (4, 5), 0, Sampling(seed=3))]
    for mine, its in zip(paced.forward(feeds), plain.forward(feeds), strict=True):
        assert mine.own.tolist() == its.own.tolist()
        assert mine.given.nll.tolist() == its.given.nll.tolist()
    paced.copy(0, 2, 2)
    paced.trim(0, 1)
    assert inner.held == {0: 1, 1: 2, 2: 2}
    paced.check_integrity()
    same = ("description", "context", "capacity", "block", "token_bytes", "chunk")
    assert all(getattr(paced, name) == getattr(inner, name) for name in same)
    assert paced.step == 0.5


def test_work_adds_up_and_what_is_not_known_stays_so() -> None:
    assert Work(3, 0.5, 2.0) - Work(1, 0.25, 0.5) == Work(2, 0.25, 1.5)
    assert Work(3, 0.5, 2.0) + Work(cpu_seconds=1.0) == Work(3, 0.5, 3.0)
    assert (Work(3, 0.5, None) - Work(1, 0.25, None)).cpu_seconds is None
    assert (Work(3, 0.5, 1.0) + Work(cpu_seconds=None)).cpu_seconds is None
