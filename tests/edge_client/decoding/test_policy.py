"""Which proposals are shown without asking, above all where a grammar leaves no choice, or the draft none."""

from __future__ import annotations

import pytest

from edge_client.decoding.drafter import Proposal
from edge_client.decoding.policy import Local, Sprint
from tests.edge_client.decoding.pair import Unsteered


def proposal(doubt: float, **how: bool) -> Proposal:
    return Proposal(7, (8, 9), doubt, doubt, doubt, 0.0, None, None, **how)


@pytest.mark.parametrize(
    ("threshold", "one", "is_shown"),
    [
        (0.3, proposal(0.3), True),
        (0.3, proposal(0.31), False),
        (-1.0, proposal(0.0), False),
        (-1.0, proposal(0.0, is_forced=True), True),
        (1.0, proposal(1.0), True),
        (1.0, proposal(1.0, is_blind=True), False),
    ],
)
def test_sprint_shows_what_is_not_doubted_too_much(threshold, one, is_shown):
    assert Sprint(Unsteered(threshold)).accepts(one) == is_shown


def test_local_shows_everything():
    local = Local(0.5)
    assert all(map(local.accepts, (proposal(0.0), proposal(0.9), proposal(1.0, is_blind=True))))
    assert local.doubted == 2
