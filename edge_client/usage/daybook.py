"""One day of the ledger: what each target did for this device, and the form of that as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from edge_client.usage.amount import Amount
from edge_client.usage.prices import Prices
from shared import fields as checked
from shared.errors import InputError

FORMAT = 1


@dataclass(frozen=True)
class Payee:
    """A target, and the prices of its work when it was asked.

    Attributes:
        address: as the user gave it.
        fingerprint, name: as the target says.
    """

    address: str = ""
    fingerprint: str = ""
    name: str = ""
    prices: Prices = field(default_factory=Prices)


@dataclass(frozen=True)
class Figures:
    """What texts took; figures add up.

    Attributes:
        texts: that asked the target.
        shown: tokens of them.
        prompt: tokens of their prompts that the target did not hold from an earlier text.
        bytes_up, bytes_down: payload, prompts included.
        spent: what the target did, as far as it said so.
        reserved: what it may have done besides, at most: for texts under way, and for such as were cut short.
    """

    texts: int = 0
    shown: int = 0
    prompt: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    spent: Amount = field(default_factory=Amount)
    reserved: Amount = field(default_factory=Amount)

    @property
    def streamed(self) -> Amount:
        """What the same texts take in mode `cloud`: each prompt read once, and a call a token.

        The seconds are those that these texts' own calls took on average; 0 where there were none.
        """
        seconds = self.shown * self.spent.microseconds // self.spent.calls if self.spent.calls else 0
        return Amount(self.shown, self.prompt, self.shown, seconds)

    def floored(self) -> Figures:
        """The same, with nothing reserved below 0: others may have forgotten all of it meanwhile."""
        return replace(self, reserved=self.reserved.floored())

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


Page = dict[Payee, Figures]


def written(page: Page) -> str:
    """A page as text."""
    entries = [{"target": asdict(payee), "figures": asdict(figures)} for payee, figures in page.items()]
    return json.dumps({"format": FORMAT, "entries": entries}, indent=1) + "\n"


def read(text: str) -> Page:
    """A page from its text.

    Raises:
        ValueError: it is none.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"it must hold an object with `format` {FORMAT}")
    return dict(_entries(data.get("entries")))


def _entries(data: object) -> Iterator[tuple[Payee, Figures]]:
    for number, entry in enumerate(checked.listed("entries", data)):
        name = f"entries[{number}]"
        if not isinstance(entry, dict):
            raise ValueError(f"`{name}` must be an object, not {checked.shown(entry)}")
        yield _payee(entry.get("target"), f"{name}.target"), _figures(entry.get("figures"), f"{name}.figures")


def _payee(data: Any, name: str) -> Payee:
    payee = checked.filled(Payee, data, name)
    for each in ("address", "fingerprint", "name"):
        checked.check_text(f"{name}.{each}", getattr(payee, each))
    try:
        return replace(payee, prices=checked.filled(Prices, data.get("prices"), f"{name}.prices"))
    except InputError as error:
        raise ValueError(f"in `{name}.prices` {error}") from error


def _figures(data: Any, name: str) -> Figures:
    figures = checked.filled(Figures, data, name)
    for field_ in fields(Figures):
        if field_.name not in ("spent", "reserved"):
            checked.check_whole(f"{name}.{field_.name}", getattr(figures, field_.name))
    spent, reserved = (_amount(data.get(each), f"{name}.{each}") for each in ("spent", "reserved"))
    return replace(figures, spent=spent, reserved=reserved)


def _amount(data: object, name: str) -> Amount:
    amount = checked.filled(Amount, data, name)
    for field_ in fields(Amount):
        checked.check_whole(f"{name}.{field_.name}", getattr(amount, field_.name))
    return amount
