"""`edge-client doctor --pair` on a terminal: how far it has come, and the table of modes and links."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import monotonic
from typing import Any, TextIO

from edge_client.cli.console import CONTROLS
from edge_client.cli.growing import GrowingLine
from edge_client.cli.spending import read_spending
from edge_client.doctor.pair import Wanted

# Seconds from the beginning of all checks to the end of the last text; what ends it takes some more, below two minutes.
_ALL = 98.0


class Progress:
    """Tells how many texts are written.

    Args:
        stream: where it is told.
        clock: seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._line = GrowingLine(stream, clock)

    def __call__(self, done: int, most: int) -> None:
        if self._line.is_due:
            self._line.write(f"edge-client: writing with this pair: {done} of at most {most} texts")

    def end(self) -> None:
        """Make room for what is written next."""
        self._line.clear()


def wanted(options: argparse.Namespace, begin: float, progress: Progress) -> Wanted:
    """How the pair is to be looked at.

    Args:
        begin: when the first check began, by `monotonic`.

    Raises:
        InputError: a price or a cap out of range.
    """
    spending = read_spending(options)
    return Wanted(spending["prices"], spending["caps"], progress, lambda: _ALL - (monotonic() - begin))


def table(values: dict[str, Any]) -> str:
    """The values of the finding of a pair, for people."""
    modes, measured = values["modes"], values["measured"]
    first = next(iter(modes.values()))
    rows = [["link", "here", *(_ms(cell["round_trip"]) for cell in first[1:])]]
    rows[0][1] += f", {_ms(first[0]['round_trip'])}"
    currency = values["currency"].translate(CONTROLS) or "money"
    for mode, cells in modes.items():
        rows.append([f"{mode}, tokens/s", *(_figure(cell["rate"]) for cell in cells)])
        if mode != "cloud":
            rows.append(["  times the plain stream", *(f"{cell['gain']:.2f}" for cell in cells)])
        rows.append(["  calls/token", *(f"{cell['calls']:.3f}" for cell in cells)])
        if all(cell["money"] is not None for cell in cells):
            rows.append([f"  {currency}/1,000 tokens", *(f"{cell['money']:.4g}" for cell in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join(f"     {line}" for line in [*lines, *_grounds(values["text_tokens"], measured)])


def _grounds(tokens: int, measured: dict[str, Any]) -> list[str]:
    """What it rests on."""
    parts = []
    if measured["asked"] is not None:
        run = f", {measured['run_length']:.0f} accepted in a row" if measured["run_length"] else ""
        later = f" (in the long run {100 * measured['asked_in_the_long_run']:.1f} %)"
        parts.append(f"sprint asked about {100 * measured['asked']:.1f} % of the tokens{later}{run}")
    if measured["tokens_a_pass"] is not None:
        parts.append(
            f"exact wrote {measured['tokens_a_pass']:.1f} tokens a pass, {100 * measured['guessed']:.0f} % guessed"
        )
    if measured["draft_seconds"] is not None:
        parts.append(f"the draft took {1e3 * measured['draft_seconds']:.2f} ms a token")
    if passes := [f"{1e3 * took:.1f} in {mode}" for mode, took in measured["pass_seconds"].items() if took]:
        parts.append(f"a pass of the target {', '.join(passes)} ms")
    *nearer, last = (_ms(trip) for trip in measured["round_trips"])
    over = f"{', '.join(nearer)} and {last}" if nearer else last
    return [
        f"Of texts of {tokens} tokens, from {measured['texts']} with {measured['tokens']} tokens in all, over {over};",
        "longer links than this one were made by holding answers back.",
        *(f"{part[0].upper()}{part[1:]}." for part in parts),
    ]


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"
