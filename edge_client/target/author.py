"""Which target writes a text: whichever can, until the first answer, and from then on that one alone."""

from __future__ import annotations

from collections.abc import Callable

from edge_client.target.description import Description
from shared.errors import LinkBroken, OtherTarget

# Behind a name that leads to different targets by turns, a text that is not begun is refused so often, and then ends.
MOST_REFUSALS = 3


class Author:
    """The target that one text belongs to.

    What a target has answered is its own, and another one would go on in its own words: so the text names its author on
    every stream, and whoever else is met there refuses. Before the first answer it can just as well be the other's.

    Args:
        described: the target that the text is begun for.
        look_again: asks who is there now; what was known before, where nobody is.
        address: of it, for messages.
        notify: is told, in a sentence, that another target than that writes the text.
        doubt: called where the text ends because of another target, so that the next one asks who is there.
        follows: the text is kept to a grammar.
    """

    def __init__(
        self,
        described: Description,
        look_again: Callable[[], Description],
        address: str,
        notify: Callable[[str], None],
        doubt: Callable[[], None],
        follows: bool = False,
    ) -> None:
        self._begun_for = self._described = described
        self._look_again, self._address = look_again, address
        self._notify, self._doubt, self._follows = notify, doubt, follows
        self._has_answered = False
        self._refusals = 0
        self._is_refused = False  # on the last stream

    @property
    def fingerprint(self) -> str:
        """Of the target that the text belongs to, as far as that is known by now."""
        return self._described.fingerprint

    def named(self) -> str:
        """The fingerprint that the next stream names. Asks who is there, where the last stream met another target.

        Raises:
            OtherTarget: that one cannot write the text as it was begun.
            TargetRefused, ProtocolError: it does not say who it is.
        """
        if self._is_refused:
            self._is_refused, found = False, self._look_again()
            if why := found.cannot_replace(self._begun_for, self._follows):
                self._doubt()
                raise OtherTarget(
                    f"{found.instead_of(self._begun_for, self._address)}, and {why}: begin the text anew, with a "
                    "bundle that fits"
                )
            self._described = found
        return self._described.fingerprint

    def answered(self) -> None:
        """The target that was named has answered: the text is its own."""
        if self._has_answered:
            return
        self._has_answered = True
        if self._described.fingerprint != self._begun_for.fingerprint:
            self._notify(f"{self._described.instead_of(self._begun_for, self._address)}; it writes this text")

    def refused(self, refusal: OtherTarget) -> LinkBroken:
        """Another target than the one that was named is there; returns what another stream may mend.

        Raises:
            OtherTarget: none may, for the text is begun; or different targets answer by turns.
        """
        self._refusals += 1
        if self._has_answered:
            raise self._ending(
                f"the target at {self._address} is another one than has written so far ({refusal}); what is written "
                "stays, and the bundle may not fit the other one",
                refusal,
            ) from refusal
        if self._refusals == MOST_REFUSALS:
            raise self._ending(
                f"different targets answer at {self._address} by turns ({refusal}); their operator should give each an "
                "address of its own",
                refusal,
            ) from refusal
        self._is_refused = True
        return LinkBroken(f"another target answers: {refusal}")

    def _ending(self, sentence: str, refusal: OtherTarget) -> OtherTarget:
        """What ends the text: the next one had better ask who is there."""
        self._doubt()
        error = OtherTarget(sentence)
        error.request_id = refusal.request_id
        return error
