"""What texts cost, and what it would have cost to stream all of them from the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_client.usage.daybook import Figures
from edge_client.usage.prices import Prices


@dataclass(frozen=True)
class Cost:
    """The cost of one text, or of many with the same prices; money is None where no price is set.

    Attributes:
        figures: what they took.
    """

    prices: Prices
    figures: Figures

    @property
    def money(self) -> float | None:
        """What is known to have been spent."""
        return self.prices.money(self.figures.spent) if self.prices else None

    @property
    def doubtful(self) -> float | None:
        """What may have been spent besides, at most: requests that were never answered."""
        return self.prices.money(self.figures.reserved) if self.prices else None

    @property
    def streamed(self) -> float | None:
        """What mode `cloud` would have cost; the target's seconds are estimated from those of the calls there were."""
        return self.prices.money(self.figures.streamed) if self.prices else None

    def as_dict(self) -> dict[str, Any]:
        """The same for programs."""
        spent, reserved = self.figures.spent, self.figures.reserved
        return {
            "tokens_in": spent.tokens_in,
            "tokens_out": spent.tokens_out,
            "calls": spent.calls,
            "target_seconds": spent.microseconds / 1e6,
            "unknown_tokens": reserved.tokens,
            "unknown_calls": reserved.calls,
            "money": self.money,
            "unknown_money": self.doubtful,
            "streamed_money": self.streamed,
            "currency": self.prices.currency,
        }

    def __bool__(self) -> bool:
        """Whether anything is known of money."""
        return bool(self.prices)

    def __str__(self) -> str:
        """Money for people, as in "0.0012 EUR, streamed 0.0034 EUR"."""
        return f"{self.prices.shown(self.money or 0.0)}, streamed {self.prices.shown(self.streamed or 0.0)}"
