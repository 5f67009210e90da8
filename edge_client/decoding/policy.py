"""Which proposals are shown without asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge_client.decoding.drafter import Proposal
from edge_client.promise.feedback import Gate


class Policy(Protocol):
    """What the loop asks of a mode in which the device leads."""

    def accepts(self, proposal: Proposal) -> bool: ...


@dataclass
class Local:
    """Never ask. The verifier still looks on, so that a run can tell what it would have asked.

    Attributes:
        threshold: what `sprint` would begin with.
        doubted: tokens shown although their doubt was above it.
    """

    threshold: float = 1.0
    doubted: int = 0

    def accepts(self, proposal: Proposal) -> bool:
        self.doubted += proposal.doubt > self.threshold
        return True


@dataclass(frozen=True)
class Sprint:
    """Show what the verifier accepts, ask about the rest (SPRINTER, algorithm 1).

    Attributes:
        budget: holds the threshold, which may move.
    """

    budget: Gate

    def accepts(self, proposal: Proposal) -> bool:
        return proposal.is_forced or (proposal.doubt <= self.budget.threshold and not proposal.is_blind)
