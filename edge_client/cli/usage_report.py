"""What was spent, as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_client.usage.amount import Amount
from edge_client.usage.cost import Cost
from edge_client.usage.daybook import Figures, Payee
from edge_client.usage.prices import shown

_HEAD = (
    "day", "target", "texts", "tokens", "calls", "sent", "written", "bytes up", "down", "seconds", "money", "streamed",
    "saved",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """What was spent on a day, at a target, at the prices of then."""

    day: str
    payee: Payee
    figures: Figures

    @property
    def cost(self) -> Cost:
        return Cost(self.payee.prices, self.figures)


@dataclass(frozen=True)
class _Money:
    """Sums in one currency."""

    spent: float = 0.0
    doubtful: float = 0.0
    streamed: float = 0.0

    @property
    def saved(self) -> float | None:
        """The share that was saved; None where streaming would have cost nothing."""
        return 1 - self.spent / self.streamed if self.streamed else None

    def plus(self, cost: Cost) -> _Money:
        return _Money(
            self.spent + (cost.money or 0.0),
            self.doubtful + (cost.doubtful or 0.0),
            self.streamed + (cost.streamed or 0.0),
        )


def as_dict(lines: Sequence[Line], unknown: Sequence[str]) -> dict[str, Any]:
    """The report for programs.

    Args:
        unknown: what is not on the lines, a sentence each.
    """
    return {
        "lines": [_plain(line) for line in lines],
        "money": [
            {
                "currency": currency,
                "money": money.spent,
                "unknown_money": money.doubtful,
                "streamed_money": money.streamed,
                "saved": money.saved,
            }
            for currency, money in _sums(lines).items()
        ],
        "unknown": [*unknown, *_unknown(lines)],
    }


def as_text(lines: Sequence[Line], unknown: Sequence[str], days: int) -> str:
    """The report for people.

    Args:
        unknown: as for `as_dict`.
        days: that were looked at.
    """
    if not lines:
        nothing = f"Nothing was spent in the last {days} days." if days > 1 else "Nothing was spent today."
        return "\n\n".join([nothing, *_sentences(unknown)])
    rows = [_row(line.day, _name(line.payee), line.figures, *_money_cells(line.cost)) for line in lines]
    sums = _sums(lines)
    if len(lines) > 1:
        total = sum((line.figures for line in lines), Figures())
        cells = ("", "", "")
        if len(sums) == 1:
            ((currency, money),) = sums.items()
            cells = (shown(money.spent, currency), shown(money.streamed, currency), _percent(money.saved))
        rows.append(_row("all", "", total, *cells))
    parts = [_table(_HEAD, rows)]
    parts += [
        f"Streaming all of it from the target would have cost {shown(money.streamed, currency)}; "
        f"{shown(money.spent, currency)} were spent"
        + (f", {_percent(money.saved)} less." if money.saved is not None and money.saved >= 0 else ".")
        for currency, money in sums.items()
    ]
    return "\n\n".join([*parts, *_sentences([*unknown, *_unknown(lines)])])


def _plain(line: Line) -> dict[str, Any]:
    figures, payee = line.figures, line.payee
    return {
        "day": line.day,
        "target": payee.address,
        "name": payee.name,
        "fingerprint": payee.fingerprint,
        "texts": figures.texts,
        "tokens": figures.shown,
        "bytes_up": figures.bytes_up,
        "bytes_down": figures.bytes_down,
        **line.cost.as_dict(),
        "prices": {name: getattr(payee.prices, name) for name in payee.prices.__dataclass_fields__},
    }


def _sums(lines: Iterable[Line]) -> dict[str, _Money]:
    """Sums of money by currency, where there are prices."""
    sums: dict[str, _Money] = {}
    for line in lines:
        if line.payee.prices:
            currency = line.payee.prices.currency
            sums[currency] = sums.get(currency, _Money()).plus(line.cost)
    return sums


def _unknown(lines: Sequence[Line]) -> Iterable[str]:
    """What nobody knows of what was spent."""
    held = sum((line.figures.reserved for line in lines), Amount())
    if held.calls or held.tokens:
        money = ", ".join(shown(sum_.doubtful, currency) for currency, sum_ in _sums(lines).items() if sum_.doubtful)
        yield (
            f"at most {held.tokens} tokens and {held.calls} calls more{f' ({money})' if money else ''}: they are held "
            "for texts that are under way or were cut short, and caps count them"
        )
    if any(not line.payee.prices for line in lines):
        yield "what texts cost that were written while no price was set"
    if any(line.payee.prices.price_second for line in lines):
        yield "how long the target would take to stream: its seconds are those of the calls there were, on average"


def _sentences(unknown: Iterable[str]) -> list[str]:
    found = [f"- {sentence}" for sentence in unknown]
    return ["\n".join(["Not known:", *found])] if found else []


def _row(day: str, target: str, figures: Figures, money: str, streamed: str, saved: str) -> tuple[str, ...]:
    spent = figures.spent
    return (
        day,
        target,
        f"{figures.texts}",
        f"{figures.shown}",
        f"{spent.calls}",
        f"{spent.tokens_in}",
        f"{spent.tokens_out}",
        f"{figures.bytes_up}",
        f"{figures.bytes_down}",
        f"{spent.microseconds / 1e6:.2f}",
        money,
        streamed,
        saved,
    )


def _money_cells(cost: Cost) -> tuple[str, str, str]:
    if cost.money is None or cost.streamed is None:
        return "-", "-", "-"
    saved = _Money(cost.money, 0.0, cost.streamed).saved
    return cost.prices.shown(cost.money), cost.prices.shown(cost.streamed), _percent(saved)


def _name(payee: Payee) -> str:
    return f"{payee.address} ({payee.name})" if payee.name else payee.address


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells under their heads: words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )
