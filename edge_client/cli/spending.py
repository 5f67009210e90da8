"""Options about money: what the target's work costs, and the most that may be spent in a day."""

from __future__ import annotations

import argparse
from typing import TypedDict

from edge_client.cli.numbers import number, whole
from edge_client.usage.caps import Caps
from edge_client.usage.environment import variable
from edge_client.usage.prices import Prices


class Given(TypedDict):
    """What `Edge` is given."""

    prices: Prices
    caps: Caps
    ledger: bool


def add_spending(parser: argparse.ArgumentParser) -> None:
    """What the target's work costs, and what may be spent."""
    group = parser.add_argument_group(
        "what it costs",
        "What was spent is counted in any case; `edge-client usage` shows it, a day and a target a line.",
    )
    for option, kind, metavar, text in (
        ("--price-in", number, "PRICE", "price of a million tokens that the target is sent"),
        ("--price-out", number, "PRICE", "price of a million tokens that it writes"),
        ("--price-call", number, "PRICE", "price of a call, which is a pass of the target"),
        ("--price-second", number, "PRICE", "price of a second that the target works"),
        ("--currency", str, "WORD", "what is written behind sums of money"),
        ("--cap-money", number, "SUM", "most that all programs of this user may spend a day, in money"),
        ("--cap-tokens", whole, "N", "most tokens a day, sent and written together"),
        ("--cap-calls", whole, "N", "most calls a day"),
    ):
        environment = variable(option.strip("-").replace("-", "_"))
        group.add_argument(option, type=kind, metavar=metavar, help=f"{text} (environment: {environment})")


def read_spending(options: argparse.Namespace) -> Given:
    """Prices and caps, from the command line and the environment.

    Raises:
        InputError: one is out of range.
    """
    given = vars(options)
    prices = Prices.given(**{name: given[name] for name in Prices.__dataclass_fields__})
    caps = Caps.given(**{name: given[name] for name in Caps.__dataclass_fields__})
    return {"prices": prices, "caps": caps, "ledger": True}
