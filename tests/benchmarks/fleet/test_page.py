"""What is said of the figures."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

from benchmarks.fleet import page
from benchmarks.fleet.behind_envoy import Part, Row
from benchmarks.fleet.capacity import Load
from benchmarks.fleet.device import Device
from benchmarks.fleet.serving import Served
from benchmarks.fleet.writer import Tally
from benchmarks.report.systems import CLOUD, COLOCATED


def part(tokens: int, busy: float, machine: float, cores: float = 0.3) -> Part:
    tally = Tally(calls=10, tokens=tokens, latencies=[0.1 * number for number in range(10)])
    return Part(10.0, tally, busy, 3.0, (cores, 0.1, 0.1), machine)


def row(replicas: int, hurried: Part) -> Row:
    return Row(
        replicas,
        5.0,
        Tally(errors=Counter({"UNAVAILABLE: away": 2})),
        400,
        hurried,
        part(10, 0.1, 0.5),
        0.25 * replicas,
    )


def test_the_limit_is_what_is_full() -> None:
    assert "devices, 95%" in page.limit_of(part(1, 0.95, 1.9), 2)
    assert page.limit_of(part(1, 0.5, 1.9, cores=1.6), 2) == "this machine's 2 cores, 1.9 of them at work"
    assert "other work took 1.4" in page.limit_of(part(1, 0.5, 1.9), 2)
    assert page.limit_of(part(1, 0.5, 0.9), 2).startswith("neither")


def test_throughput_is_told_beside_that_of_one_replica() -> None:
    rows = [row(1, part(1000, 0.9, 1.0)), row(4, part(3500, 0.5, 1.9, cores=1.6))]
    words = page.fleet_limit(rows, 2)
    assert words.startswith("With 1 replica the limit is the replicas' devices")
    assert "With 4 replicas, 3.50 times the throughput of one, the limit is this machine's 2 cores" in words
    assert "1600.00 ms of CPU in the replica, 100.00 ms in Envoy" in words
    assert page.errors_words(rows).splitlines()[0] == "1 replicas: 2 times UNAVAILABLE: away"
    assert "for readers of 0.25, 1 tokens/s" in page.fleet_words(rows)
    assert "| 4        |          400 |" in page.fleet_words(rows)
    assert json.loads(json.dumps(page.row_figures(rows[0])))["errors"] == 2


def test_a_system_that_serves_nobody_is_told_as_that() -> None:
    load = Load(100, 1.0, 0.01, 1.0, 1.1, 0.0002, 0.0, 0.9)
    found = [Served(30.0, 0.0, CLOUD, load, load, 0.4), Served(30.0, 0.0, "exact", None, load, 0.0)]
    words = page.devices_words(found, Device())
    assert "1.00" in words.splitlines()[4]
    assert words.splitlines()[5].startswith("| exact")
    assert "40% to 40%" in page.devices_limit(found)
    beside = replace(found[0], system=COLOCATED, most=replace(load, drafting=0.12))
    assert "the draft takes 12% to 12%" in page.devices_limit([*found, beside])
    assert page.devices_limit(found[1:]).startswith("No system")
    assert json.loads(json.dumps(page.served_figures(found[1])))["most"] is None
