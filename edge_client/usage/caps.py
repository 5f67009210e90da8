"""The most that a device may spend in a day, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from edge_client.usage.amount import Amount
from edge_client.usage.environment import filled
from edge_client.usage.prices import Prices, shown
from shared import values
from shared.errors import CapReached, InputError


@dataclass(frozen=True, kw_only=True)
class Caps:
    """The most that all programs of one user may spend together in one local day; None is no cap.

    Attributes:
        cap_money: in the currency of the prices.
        cap_tokens: sent to targets and written by them.
        cap_calls: as `Amount` counts them.

    Raises:
        InputError: a cap below 0.
    """

    cap_money: float | None = None
    cap_tokens: int | None = None
    cap_calls: int | None = None

    def __post_init__(self) -> None:
        for name, convert in (("cap_money", values.number), ("cap_tokens", values.whole), ("cap_calls", values.whole)):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, convert(name, given))
                if given < 0:
                    raise InputError(f"{name} must be 0 or more, not {given}", options=(name,))

    @classmethod
    def given(cls, **options: Any) -> Self:
        """Caps by their names; where one is None or missing, that of the environment (`TANDEM_CAP_MONEY`, ...).

        Raises:
            InputError: as the class, or a variable that is no number.
        """
        return filled(cls, options)

    def __bool__(self) -> bool:
        return any(each is not None for each in (self.cap_money, self.cap_tokens, self.cap_calls))


@dataclass(frozen=True)
class Room:
    """What is left of a day.

    Attributes:
        spent: today, by everybody, with what is reserved.
        money: that this costs, where it was spent in the currency of `prices`.
    """

    caps: Caps
    prices: Prices
    spent: Amount
    money: float

    def fits(self, more: Amount) -> bool:
        """Whether so much more may be spent."""
        return self._passed(more) is None

    def refusal(self, more: Amount) -> CapReached:
        """Why so much more may not be spent."""
        name = self._passed(more)
        assert name is not None, "it fits"
        cap = getattr(self.caps, name)
        unit = name.removeprefix("cap_")
        counted = {
            "cap_money": shown(self.money, self.prices.currency),
            "cap_tokens": f"{self.spent.tokens}",
            "cap_calls": f"{self.spent.calls}",
        }[name]
        limit = shown(cap, self.prices.currency) if name == "cap_money" else f"{cap} {unit}"
        return CapReached(
            f"the cap of {limit} a day is reached ({counted} spent today, or held for texts under way), and nothing "
            "more is sent to the target before tomorrow",
            "raise the cap to go on",
            options=(name,),
        )

    def _passed(self, more: Amount) -> str | None:
        caps, after = self.caps, self.spent + more
        if caps.cap_money is not None and self.money + self.prices.money(more) > caps.cap_money:
            return "cap_money"
        if caps.cap_tokens is not None and after.tokens > caps.cap_tokens:
            return "cap_tokens"
        return "cap_calls" if caps.cap_calls is not None and after.calls > caps.cap_calls else None
