"""What is reported of each system over a link, and as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.peers.ours import CLOUD
from benchmarks.peers.systems import System, Written
from benchmarks.tables import markdown_table, percent

LEGEND = """\
x cloud: speed over that of the plain stream on the same link, the median over the prompts of the ratio of times a
token, from the request to the last token; tokens/pass: tokens for each forward pass of the target, that of the prompt
included; B up, B down: everything that the link carried from the device and to it, a token, as the relay counts it for
each system alike: prompts, framing, and whatever a system sends beside; equals the target's text: share of the texts
that are, to their last token, what transformers' greedy search writes with the target alone, in float32 with eager
attention. Every system writes greedily, on one thread a side."""


@dataclass(frozen=True)
class Row:
    """One system over one link; figures as in `LEGEND`, None where there are none.

    Attributes:
        note: why there are none; "" where there are.
    """

    link: str
    round_trip_ms: float
    system: str
    note: str = ""
    texts: int = 0
    tokens: int = 0
    speed_up: float | None = None
    ms_a_token: float | None = None
    tokens_a_pass: float | None = None
    bytes_up: float | None = None
    bytes_down: float | None = None
    equal: float | None = None


@dataclass(frozen=True)
class Measured:
    """What one system has done over a link.

    Attributes:
        system: which.
        written: its texts, one a prompt; fewer, or none, where something was wrong.
        carried: bytes from the device and to it.
        note: what was wrong.
    """

    system: System
    written: Sequence[Written] = ()
    carried: tuple[int, int] = (0, 0)
    note: str = ""


def is_equal(written: Written, reference: Sequence[int], decode: Callable[[list[int]], str]) -> bool:
    """Whether a text is the target's own, to its last token. Space at its ends does not count: some cut it.

    Args:
        reference: ids that the target writes alone, more than any system was asked for.
    """
    return written.text.strip() == decode(list(reference[: written.tokens])).strip()


def rows_of(
    link: str,
    round_trip_ms: float,
    measured: Sequence[Measured],
    references: Sequence[Sequence[int]],
    decode: Callable[[list[int]], str],
) -> list[Row]:
    """A row a system.

    Args:
        measured: one of them is the plain stream.
        references: what the target writes alone, a prompt.
    """
    (cloud,) = (one.written for one in measured if one.system.name == CLOUD)
    rows = []
    for one in measured:
        if not one.written:
            rows.append(Row(link, round_trip_ms, one.system.name, one.note))
            continue
        tokens = max(sum(text.tokens for text in one.written), 1)
        passes = [text.passes for text in one.written if text.passes is not None]
        equal = [is_equal(text, ids, decode) for text, ids in zip(one.written, references, strict=False)]
        rows.append(
            Row(
                link,
                round_trip_ms,
                one.system.name,
                one.note,
                len(one.written),
                tokens,
                median(_pace(plain) / _pace(text) for text, plain in zip(one.written, cloud, strict=False)),
                median(map(_pace, one.written)),
                tokens / max(sum(passes), 1) if len(passes) == len(one.written) else None,
                one.carried[0] / tokens,
                one.carried[1] / tokens,
                sum(equal) / len(equal),
            )
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    """A line for each system over each link, and below it why those without figures have none."""
    columns: Mapping[str, Callable[[Row], str]] = {
        "system": lambda row: row.system,
        "link": lambda row: f"{row.link}, {row.round_trip_ms:g} ms",
        "x cloud": lambda row: _cell(row.speed_up, ".2f"),
        "ms/token": lambda row: _cell(row.ms_a_token, ".2f"),
        "tokens/pass": lambda row: _cell(row.tokens_a_pass, ".2f"),
        "B up": lambda row: _cell(row.bytes_up, ".1f"),
        "B down": lambda row: _cell(row.bytes_down, ".1f"),
        "equals the target's text, %": lambda row: percent(row.equal, 0),
        "texts": lambda row: str(row.texts) if row.texts else "-",
    }
    lines = [[cell(row) for cell in columns.values()] for row in rows]
    notes = dict.fromkeys(f"{row.system}: {row.note}." for row in rows if row.note)
    return "\n\n".join([markdown_table(list(columns), lines), *notes])


def _pace(text: Written) -> float:
    """Milliseconds a token."""
    return max(text.total_ms, 1e-6) / max(text.tokens, 1)


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
