"""A small fleet behind the real Envoy: all streams open, every answer right, more replicas do more."""

from __future__ import annotations

import os
import shutil

import pytest

from benchmarks.fleet.behind_envoy import Plan, cpu_seconds, machine_seconds, measure
from benchmarks.fleet.device import Device
from benchmarks.fleet.traces import Call, Pass, Trace
from tests.deploy.envoys import needs_envoy

CALLS = (Call(12, 20, 0, 0, False), *[Call(0, 14, 1, number % 2, True) for number in range(8)])
TRACES = [Trace(12, 140, [Pass(0.0, 12)], CALLS)]


@needs_envoy
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_every_device_has_a_stream_and_right_answers_and_a_second_replica_takes_its_part() -> None:
    # Passes so slow that no machine is too slow for them.
    plan = Plan(120, 60, 1.0, 0.5, 3.0, Device(base=0.05, per_token=0.001))
    one, two = (measure(replicas, plan, TRACES, lambda _: None) for replicas in (1, 2))
    for row in (one, two):
        assert row.open == 120
        assert len(row.opened.served) == 120
        for tally in (row.opened, row.hurried.tally, row.paced.tally):
            assert (tally.wrong, tally.resyncs, tally.errors.total()) == (0, 0, 0)
        assert len(row.hurried.tally.served) > 30
    assert two.hurried.tokens > 1.4 * one.hurried.tokens


def test_time_of_processes_and_of_the_machine_is_told() -> None:
    assert 0 < cpu_seconds(os.getpid()) <= machine_seconds()
