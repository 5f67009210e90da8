"""Devices that share a simulated target: by hand where that can be reckoned."""

from __future__ import annotations

import pytest

from benchmarks.fleet.capacity import SHARE, load, most_devices
from benchmarks.fleet.device import Device
from benchmarks.fleet.traces import Pass, Trace, speculated, streamed

DEVICE = Device(base=0.025, per_token=0.0001)
STREAM = [streamed(Trace(1, 100, [Pass(0.0, 1)]))]
# Asks about every 20th token, and has the target read all of them.
ASKS = [Trace(1, 100, [Pass(0.1, 20, shown=at) for at in range(0, 100, 20)])]


def test_one_device_costs_what_its_passes_cost() -> None:
    alone = load(STREAM, 1, 10.0, DEVICE)
    assert (alone.joined, alone.read, alone.kept) == (1.0, 1.0, 1.0)
    assert alone.busy == pytest.approx(0.0251)
    # 2.51 s of the 10 s that a reader takes, for three texts; behind the last nobody waits.
    assert 0.25 < alone.use < 0.4


def test_devices_that_ask_at_once_share_passes() -> None:
    many = load(STREAM, 100, 10.0, DEVICE)
    assert many.joined == 1.0
    assert many.passes < 0.2


def test_no_device_is_served_by_a_target_that_is_too_slow_for_its_reader() -> None:
    assert most_devices(STREAM, 60.0, DEVICE) is None


def test_the_plain_stream_serves_as_many_as_their_passes_take_as_long_as_a_token_may() -> None:
    found = most_devices(STREAM, 10.0, Device(base=0.025, per_token=0.001))
    assert found is not None
    # 0.025 + 0.001 N is what a token may take at most: 10 s and half a second for a hundred of them.
    assert 70 < found.devices < 90
    assert found.kept >= SHARE
    assert found.use > 0.9


def test_who_asks_seldom_lives_with_slow_passes_where_a_stream_does_not() -> None:
    slow = Device(base=0.1, per_token=0.0001)
    stream, asks = (most_devices(traces, 20.0, slow) for traces in (STREAM, ASKS))
    assert stream is None
    assert asks is not None
    assert asks.devices > 50


def test_a_draft_beside_the_target_takes_its_time() -> None:
    traces = [speculated(Trace(1, 100, [Pass(0.0, 1)], right=[True] * 100), 4)]
    alone = load(traces, 1, 10.0, Device(base=0.025, per_token=0.0, draft=0.1))
    assert alone.joined == pytest.approx(0.2)
    # Four steps of a tenth of a pass each.
    assert alone.drafting == pytest.approx(0.4 / 1.4)
    assert load(STREAM, 1, 10.0, DEVICE).drafting == pytest.approx(0.0, abs=1e-9)


def test_what_was_shown_late_is_not_kept() -> None:
    late = [Trace(1, 100, [Pass(0.0, 1), Pass(3.0, 1, shown=1), Pass(0.0, 1, shown=90)])]
    assert load(late, 1, 10.0, DEVICE).kept == 0.0
