"""Prices, caps and the ledger of one edge, put together: what its texts are let spend."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edge_client.usage.account import Account, room_of, uncounted
from edge_client.usage.amount import Amount
from edge_client.usage.caps import Caps
from edge_client.usage.daybook import Page, Payee
from edge_client.usage.ledger import Ledger
from edge_client.usage.prices import Prices
from shared import values
from shared.errors import InputError

# Characters that the ledger keeps of what a target calls itself.
LONGEST_NAME = 120


class Served(Protocol):
    """A target's description, as far as it matters here."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def step(self) -> float:
        """What a pass takes, seconds; 0 where nobody knows."""
        ...


class Spending:
    """What all texts of one edge have in common.

    Args:
        prices, caps: None for those of the environment.
        ledger: where it is kept: True, in the user's state directory; a directory, there; False, in this process only;
            None, as `memory` says, but with a cap never in this process only, for programs share caps.
        memory: where what is learned is kept, in the same words.

    Raises:
        InputError: something else was given, or a cap on money and no price.
    """

    def __init__(
        self, prices: Prices | None, caps: Caps | None, ledger: bool | str | Path | None, memory: bool | Path
    ) -> None:
        for name, given, kind in (("prices", prices, Prices), ("caps", caps, Caps)):
            if given is not None and not isinstance(given, kind):
                raise InputError(f"{name} must be of edge_client.{kind.__name__}, not {given!r}")
        self.prices = Prices.given() if prices is None else prices
        self.caps = Caps.given() if caps is None else caps
        if self.caps.cap_money is not None and not self.prices:
            raise InputError(
                "a cap on money needs a price, or nothing is ever spent; set the price of tokens, calls or seconds",
                options=("price_in", "price_out", "price_call", "price_second"),
            )
        if ledger is None:
            place = memory or bool(self.caps)
        else:
            place = ledger if isinstance(ledger, bool) else values.path("ledger", ledger)
        self._ledger = Ledger()
        self._homeless: InputError | None = None
        try:
            if place:
                self._ledger = Ledger.at(None if place is True else place)
        except InputError as error:
            self._homeless = error  # it matters where there is a cap

    def check(self, tokens: int) -> None:
        """See that a text may begin that sends so many tokens; does nothing where there is no cap.

        Raises:
            CapReached: it may not.
        """
        if not self.caps:
            return

        def edit(page: Page) -> None:
            room, least = room_of(page, self.caps, Payee(prices=self.prices), Amount()), Amount(1, tokens, 1)
            if not room.fits(least):
                raise room.refusal(least)

        try:
            if self._homeless is not None:
                raise self._homeless
            self._ledger.change(self._ledger.today(), edit, begins_anew=False)
        except (OSError, InputError) as error:
            raise uncounted(error) from error

    def account(self, address: str, target: Served) -> Account:
        """The account of a text.

        Args:
            address: of the target.
            target: what it says of itself.
        """
        payee = Payee(address, target.fingerprint, target.name[:LONGEST_NAME], self.prices)
        return Account(self._ledger, payee, self.caps, target.step)
