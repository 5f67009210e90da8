"""What a simulated pass costs, and who is in it."""

from __future__ import annotations

from collections import deque

import pytest

from benchmarks.fleet.device import Device
from benchmarks.fleet.traces import Pass

DEVICE = Device(base=0.025, per_token=0.0001, per_text=0.001, draft=0.1)


def taken(device: Device, *passes: Pass) -> tuple[list[Pass], float, int]:
    waiting = deque(passes)
    found, seconds = device.take(waiting, lambda one: one)
    return [here for _, here, _ in found], seconds, len(waiting)


def test_a_pass_costs_its_base_its_tokens_and_its_texts() -> None:
    _, seconds, left = taken(DEVICE, Pass(0, 10), Pass(0, 5, 3))
    assert left == 0
    assert seconds == pytest.approx(0.025 + 18 * 0.0001 + 2 * 0.001)


def test_steps_of_a_draft_come_one_after_the_other_and_are_shared() -> None:
    _, seconds, _ = taken(DEVICE, Pass(0, 1, 4, steps=4), Pass(0, 1, 4, steps=4))
    drafting = 4 * 0.1 * (0.025 + 2 * 0.0011)
    assert seconds == pytest.approx(0.025 + 10 * 0.0001 + 2 * 0.001 + drafting)


def test_a_pass_has_no_more_tokens_than_the_scheduler_puts_in_one() -> None:
    found, _, left = taken(DEVICE, Pass(0, 300), Pass(0, 200), Pass(0, 100))
    assert ([one.needed for one in found], left) == ([300, 200], 1)


def test_texts_share_the_room_for_guesses() -> None:
    assert DEVICE.chunk == 250
    found, _, _ = taken(DEVICE, Pass(0, 1, 200), Pass(0, 1, 10), Pass(0, 1, 200))
    assert [one.guesses for one in found] == [120, 10, 120]
