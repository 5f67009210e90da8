"""The modes: each is a policy that answers the three questions of the loop in `edge_client/decoding/decoder.py`.

drafts   shall the draft propose the next token?
accepts  may its proposal be shown without asking?
calls    is it time to call the target?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge_client.decoding.drafter import Proposal
from edge_client.decoding.text import Text


class Threshold(Protocol):
    """What `Sprint` needs of a budget.

    Attributes:
        threshold: ask where the doubt is above it.
    """

    threshold: float


class Policy(Protocol):
    """What the loop asks of a mode."""

    uses_verifier: bool  # whether proposals need the verifier's doubt
    target_leads: bool  # whether the target writes on by itself

    def drafts(self, text: Text) -> bool: ...

    def accepts(self, proposal: Proposal) -> bool: ...

    def calls(self, text: Text, run: int) -> bool: ...


@dataclass
class Local:
    """Never ask. The verifier still looks on, so that a run can tell what it would have asked.

    Attributes:
        threshold: what `sprint` would begin with.
        doubted: tokens shown although their doubt was above it.
    """

    threshold: float = 1.0
    doubted: int = 0
    uses_verifier = True
    target_leads = False

    def drafts(self, text: Text) -> bool:
        return True

    def accepts(self, proposal: Proposal) -> bool:
        self.doubted += proposal.doubt > self.threshold
        return True

    def calls(self, text: Text, run: int) -> bool:
        return False


@dataclass(frozen=True)
class Sprint:
    """Show what the verifier accepts, ask about the rest (SPRINTER, algorithm 1).

    Attributes:
        budget: holds the threshold, which may move.
        window: tokens shown since the last call after which the target is called anyway.
    """

    budget: Threshold
    window: int
    uses_verifier = True
    target_leads = False

    def drafts(self, text: Text) -> bool:
        return True

    def accepts(self, proposal: Proposal) -> bool:
        return proposal.doubt <= self.budget.threshold

    def calls(self, text: Text, run: int) -> bool:
        return text.held > 0 or run >= self.window


@dataclass(frozen=True)
class Exact:
    """Show only what the target confirmed: draft `window` guesses, have them judged, go on from there."""

    window: int
    uses_verifier = False
    target_leads = False

    def drafts(self, text: Text) -> bool:
        # The target adds a token of its own, so the last one needs no guess.
        return text.held < min(self.window, text.remaining - 1)

    def accepts(self, proposal: Proposal) -> bool:
        return False

    def calls(self, text: Text, run: int) -> bool:
        return not self.drafts(text)


@dataclass(frozen=True)
class Cloud:
    """The target writes alone."""

    uses_verifier = False
    target_leads = True

    def drafts(self, text: Text) -> bool:
        return False

    def accepts(self, proposal: Proposal) -> bool:
        return False

    def calls(self, text: Text, run: int) -> bool:
        return True
