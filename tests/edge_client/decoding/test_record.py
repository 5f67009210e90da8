"""What the record and the budget are told of each token."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from edge_client.decoding.record import Record
from edge_client.decoding.text import Origin
from edge_client.promise.feedback import Feedback
from edge_client.target.verdict import Audit, Own, Verdict
from shared.config import Criterion, Mode, Sampling
from tests.edge_client.decoding.pair import Pair

PAIR = Pair(vocabulary=30, blur=0.5)


@dataclass
class Told:
    """A budget that adds up what it is told."""

    off_target: int = 0
    shown: int = 0
    calls: list[tuple[int, int]] = field(default_factory=list)

    def doubted(self, doubt: float) -> None:
        pass

    def observe(self, off_target: int, shown: int, *_: object, **__: object) -> None:
        self.off_target += off_target
        self.shown += shown
        self.calls.append((off_target, shown))


def test_what_the_target_confirmed_is_no_error_however_unlikely():
    told, record = Told(), Record()
    feedback = Feedback(Criterion.TYPICAL, told)
    audit = Audit(5, [True, False, False], [True, False, True], [False] * 3, [4.0, 0.1, 5.0])
    for listener in (record, feedback):
        listener.judged(Verdict(stands=1, own=Own(3, 4.5, True), audit=audit, fallen=Audit(8)), run=2, asked=1)
        listener.wrote(8, Own(3, 4.5, True))
    assert told.calls == [(1, 3)]
    assert record.off_target[Criterion.TYPICAL] == {5}
    for listener in (record, feedback):
        listener.audited(Audit(9, [True], [True], [False], [4.0]))
    assert told.calls == [(1, 3), (1, 2)]
    assert sorted(record.known) == [5, 6, 7, 8, 9]
    assert sorted(record.unlikely) == [5, 7, 8, 9]  # whoever wrote them


@given(st.integers(0, 2**32), st.integers(1, 9), st.floats(-3, 0))
def test_each_shown_token_is_told_once_and_only_accepted_ones_are_errors(seed, window, least):
    text = PAIR.write(
        Mode.SPRINT,
        Sampling(1.0, 0, 1.0, seed),
        doubt=lambda step, draw: float(draw.log_q < least),
        tokens=30,
        window=window,
        told=(budget := Told()),
    )
    told = [position for position in PAIR.record.known if position < text.shown]
    accepted = {text.prompt_length + i for i, origin in enumerate(text.origins) if origin is Origin.ACCEPTED}
    assert PAIR.record.off_target[Criterion.TYPICAL] <= accepted
    assert budget.off_target == len(PAIR.record.off_target[Criterion.TYPICAL])
    # What the target wrote itself is counted with the next audit.
    assert len(told) - budget.shown == (text.origins[-1:] == [Origin.TARGET])
