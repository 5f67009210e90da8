"""The tables, and what limits each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from benchmarks.fleet.behind_envoy import Part, Row
from benchmarks.fleet.capacity import GRACE, SHARE
from benchmarks.fleet.device import Device
from benchmarks.fleet.serving import Served
from benchmarks.report.systems import CLOUD, COLOCATED
from benchmarks.tables import markdown_table

# Where the replicas' devices are at work for so much of the time, they are full; and cores likewise.
FULL = 0.8


def devices_words(found: Sequence[Served], device: Device) -> str:
    """The devices that one target serves, a table for each speed and device."""
    parts = []
    for (per_text, speed), group in groupby(found, lambda one: (one.per_text, one.speed)):
        rows = list(group)
        plain = next((one.most.devices for one in rows if one.system == CLOUD and one.most), 0)
        heads = [
            f"{speed:g} tokens/s a reader",
            "devices",
            f"of `{CLOUD}`",
            "passes a token",
            "tokens read a token",
            "target ms a token, alone",
            "at this load",
            "weights, % of it",
        ]
        parts.append(
            f"A pass takes {1e3 * device.base:g} ms, {1e3 * device.per_token:g} ms more for each token in it, and "
            f"{1e3 * per_text:g} ms more for each text:\n\n"
            + markdown_table(heads, [_served(one, plain) for one in rows])
        )
    return "\n\n".join(parts)


def _served(one: Served, plain: int) -> list[str]:
    alone = f"{1e3 * one.alone.busy:.2f}"
    if (most := one.most) is None:
        return [one.system, "0", "-", f"{one.alone.joined:.3f}", f"{one.alone.read:.2f}", alone, "-", "-"]
    ratio = f"{most.devices / plain:.2f}" if plain else "-"
    busy = f"{1e3 * most.busy:.3f}"
    figures = [f"{most.joined:.3f}", f"{most.read:.2f}", alone, busy, f"{100 * one.weights:.0f}"]
    return [one.system, str(most.devices), ratio, *figures]


def devices_limit(found: Sequence[Served]) -> str:
    """What limits them, in a sentence or two."""
    known = [one for one in found if one.most is not None]
    if not known:
        return "No system keeps that speed even for one device: a pass takes longer than a token may."
    shares = [one.weights for one in known]
    drafts = [one.most.drafting for one in known if one.most and one.system.startswith(COLOCATED)]
    drafting = f" Beside the target the draft takes {_range(drafts)} of the device's time." if drafts else ""
    return (
        f"A text is in time where no token comes more than {GRACE:g} s after its reader wants it; {SHARE:.0%} of the "
        "texts must be. Who share a pass share the reading of the weights: of the target's time at these loads that "
        f"is {_range(shares)}, and the rest is spent on tokens, which every system has read, "
        "judged ones and wrong guesses included. So few passes a token save less, the fuller the target is." + drafting
    )


def _range(shares: Sequence[float]) -> str:
    return f"{min(shares):.0%} to {max(shares):.0%}"


def fleet_words(rows: Sequence[Row]) -> str:
    """The replicas behind Envoy, as tables."""
    heads = ["replicas", "streams open", "until all are served, s", "wrong answers", "errors"]
    counts = [(row.replicas, row.open, round(row.opening), wrong(row), errors(row)) for row in rows]
    opened = [[str(count) for count in of_row] for of_row in counts]
    heads_of = [
        "replicas",
        "tokens/s",
        "calls/s",
        "devices answered",
        "p50, ms",
        "p99, ms",
        "calls a pass",
        "replicas' devices at work, %",
        "cores: replicas",
        "Envoy",
        "devices",
        "whole machine",
    ]
    parts = [markdown_table(heads, opened)]
    rates = ", ".join(f"{row.rate:g}" for row in rows)
    for what, of in (
        ("Some devices ask again at once", "hurried"),
        (f"All devices write, for readers of {rates} tokens/s", "paced"),
    ):
        table = markdown_table(heads_of, [_part(row.replicas, getattr(row, of)) for row in rows])
        parts.append(f"{what}:\n\n{table}")
    return "\n\n".join(parts)


def wrong(row: Row) -> int:
    """Answers that were not the target's own."""
    return sum(tally.wrong for tally in (row.opened, row.hurried.tally, row.paced.tally))


def errors(row: Row) -> int:
    """Calls that failed, and were made again."""
    return sum(tally.errors.total() for tally in (row.opened, row.hurried.tally, row.paced.tally))


def _part(replicas: int, part: Part) -> list[str]:
    times = [f"{1e3 * part.late(share):.0f}" for share in (0.5, 0.99)]
    cores = [f"{cores:.2f}" for cores in (*part.cores, part.machine)]
    counts = [f"{part.tokens:.0f}", f"{part.calls:.0f}", str(len(part.tally.served))]
    return [str(replicas), *counts, *times, f"{part.texts:.1f}", f"{100 * part.busy:.0f}", *cores]


def limit_of(part: Part, cores: int) -> str:
    """What kept a part from more."""
    ours = sum(part.cores)
    if part.busy >= FULL:
        return f"the replicas' devices, {part.busy:.0%} of the time at work"
    if part.machine >= FULL * cores:
        others = part.machine - ours
        of = f", of which other work took {others:.1f}" if others > 0.15 * cores else ""
        return f"this machine's {cores} cores, {part.machine:.1f} of them at work{of}"
    return f"neither the replicas' devices ({part.busy:.0%}) nor this machine's cores ({part.machine:.1f} of {cores})"


def fleet_limit(rows: Sequence[Row], cores: int | None = None) -> str:
    """What limits each number of replicas, in sentences."""
    cores = cores or os.cpu_count() or 1
    first, parts = rows[0].hurried.tokens / rows[0].replicas, []
    for row in rows:
        times = "" if row is rows[0] else f", {row.hurried.tokens / first:.2f} times the throughput of one,"
        name = "replica" if row.replicas == 1 else "replicas"
        parts.append(f"With {row.replicas} {name}{times} the limit is {limit_of(row.hurried, cores)}.")
    last = rows[-1].hurried
    replica, envoy, device = (1e3 * share / max(last.calls, 1) for share in last.cores)
    parts.append(
        f"A call takes {replica:.2f} ms of CPU in the replica, {envoy:.2f} ms in Envoy and {device:.2f} ms in the "
        "device."
    )
    return " ".join(parts)


def errors_words(rows: Sequence[Row]) -> str:
    """Every kind of trouble that devices met and mended, a line each; "" where there was none."""
    lines = []
    for row in rows:
        total = row.opened.errors + row.hurried.tally.errors + row.paced.tally.errors
        lines += [f"{row.replicas} replicas: {times} times {what}" for what, times in total.most_common()]
    return "\n".join(lines)


def row_figures(row: Row) -> dict[str, Any]:
    """A row for JSON: without what is too long for it."""
    found: dict[str, Any] = {
        "replicas": row.replicas,
        "opening_seconds": row.opening,
        "streams": row.open,
        "rate": row.rate,
        "wrong": wrong(row),
    }
    found["errors"] = errors(row)
    for name, part in (("hurried", row.hurried), ("paced", row.paced)):
        found[name] = {
            "tokens_per_second": part.tokens,
            "calls_per_second": part.calls,
            "devices": len(part.tally.served),
            "resyncs": part.tally.resyncs,
            "latency_seconds": {"p50": part.late(0.5), "p99": part.late(0.99)},
            "busy": part.busy,
            "calls_per_pass": part.texts,
            "cores": dict(zip(("replicas", "envoy", "devices"), part.cores, strict=True)) | {"machine": part.machine},
        }
    return found


def served_figures(one: Served) -> dict[str, Any]:
    """A system's figures for JSON."""
    return asdict(one)
