"""What a budget and a learner are told of each audited token, and of the one that fell."""

from __future__ import annotations

import numpy as np

from edge_client.promise.feedback import Feedback
from edge_client.target.verdict import Audit, Own, Verdict
from shared.config import Criterion


class Told:
    """A budget that keeps what it is told."""

    def __init__(self) -> None:
        self.recent: list[float] = []
        self.audits: list[tuple] = []

    def doubted(self, doubt: float) -> None:
        self.recent.append(doubt)

    def observe(self, off_target, shown, doubts=(), errors=(), unlike=0.0) -> None:
        self.audits.append((off_target, shown, list(doubts), list(errors), unlike))


class Taught:
    """A learner that keeps what it is taught."""

    def __init__(self) -> None:
        self.examples: list[tuple[float, bool]] = []

    def audited(self, inputs: np.ndarray, is_off: bool) -> None:
        self.examples.append((inputs.item(), is_off))


def feedback(criterion: Criterion = Criterion.TYPICAL) -> Feedback:
    return Feedback(criterion, Told(), Taught(), lambda: 0.25)


def fell(position: int, unlikely: bool = False, repeating: bool = False) -> Audit:
    return Audit(position, [True], [unlikely], [repeating], [0.0])


def test_accepted_and_asked_tokens_teach_and_only_accepted_ones_are_spent():
    for criterion, spent, is_error in ((Criterion.TYPICAL, 0, True), (Criterion.STRICT, 1, True)):
        found = feedback(criterion)
        for position, doubt in ((5, 0.1), (6, 0.2), (7, 0.9)):
            found.doubted(position, doubt, np.array([position]))
        audit = Audit(5, [False, True], [False, False], [False, False], [0.1, 0.1])
        found.judged(Verdict(0, Own(3, 0.1, False), audit, fell(7, unlikely=True)), run=2, asked=1)
        off = criterion is Criterion.STRICT
        assert found.budget.audits == [(spent, 2, [0.1, 0.2, 0.9], [False, off, is_error], 0.25)]
        assert found.learner.examples == [(5, False), (6, off), (7, is_error)]
        assert found.budget.recent == [0.1, 0.2, 0.9]


def test_a_fallen_token_is_an_error_by_typical_only_if_it_is_unlikely_or_repeats():
    for unlikely, repeating in ((False, False), (True, False), (False, True)):
        found = feedback()
        found.doubted(5, 0.5)
        found.judged(Verdict(0, None, Audit(5), fell(5, unlikely, repeating)), run=0, asked=1)
        assert found.budget.audits == [(0, 0, [0.5], [unlikely or repeating], 0.25)]


def test_a_token_that_stands_is_no_error_and_teaches_that():
    found = feedback()
    found.doubted(5, 0.5)
    found.judged(Verdict(1, None, Audit(5, [False], [True], [False], [5.0]), Audit(6)), run=0, asked=1)
    assert found.budget.audits == [(0, 1, [0.5], [False], 0.25)]


def test_what_nobody_doubted_is_counted_and_teaches_nothing():
    """The target's own tokens, and a position that was drafted anew: the last doubt is of the token that is there."""
    found = feedback()
    found.doubted(5, 0.5)
    found.doubted(5, 0.3)
    found.wrote(4, Own(3, 0.1, True))
    found.audited(Audit(5, [True, True], [True, True], [False, False], [5.0, 5.0]))
    found.wrote(7, Own(3, 0.1, False))
    found.finish()
    found.finish()
    assert found.budget.audits == [(2, 3, [0.3], [True], 0.25), (0, 1, [], [], 0.25)]
