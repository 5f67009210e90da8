"""What a target's work costs, as the user has it: a price a token, a call, and a second."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from edge_client.usage.amount import Amount
from edge_client.usage.environment import filled
from shared import values
from shared.errors import InputError

_LONGEST_CURRENCY = 12


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices of one target's work; they add up. Where all are 0, nothing is known of money.

    Attributes:
        price_in: of a million tokens that the target is sent.
        price_out: of a million tokens that it writes.
        price_call: of one call, as `Amount` counts them.
        price_second: of a second that the target queues and computes.
        currency: written behind sums of money, and nothing else.

    Raises:
        InputError: a price below 0, or a currency that is no short word.
    """

    price_in: float = 0.0
    price_out: float = 0.0
    price_call: float = 0.0
    price_second: float = 0.0
    currency: str = ""

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.name != "currency"):
            price = values.number(name, getattr(self, name))
            if price < 0:
                raise InputError(f"{name} must be 0 or more, not {price:g}", options=(name,))
            object.__setattr__(self, name, price)
        currency = values.string("currency", self.currency)
        if len(currency) > _LONGEST_CURRENCY or not currency.isprintable():
            sentence = f"currency must be a word of {_LONGEST_CURRENCY} characters at most, such as EUR"
            raise InputError(sentence, options=("currency",))

    @classmethod
    def given(cls, **options: Any) -> Self:
        """Prices by their names; where one is None or missing, that of the environment (`TANDEM_PRICE_IN`, ...).

        Raises:
            InputError: as the class, or a variable that is no number.
        """
        return filled(cls, options)

    def __bool__(self) -> bool:
        return any((self.price_in, self.price_out, self.price_call, self.price_second))

    def money(self, amount: Amount) -> float:
        """What an amount of work costs."""
        tokens = (amount.tokens_in * self.price_in + amount.tokens_out * self.price_out) / 1e6
        return tokens + amount.calls * self.price_call + amount.microseconds / 1e6 * self.price_second

    def shown(self, money: float) -> str:
        """A sum of money for people, with as many digits as it takes to see it."""
        return shown(money, self.currency)


def shown(money: float, currency: str) -> str:
    """A sum of money for people, with as many digits as it takes to see it."""
    digits = 2 if money == 0 or money >= 10 else 4 if money >= 0.01 else 6
    return f"{money:.{digits}f} {currency}".rstrip()
