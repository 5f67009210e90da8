"""Who writes one text: a draft, the verifier that doubts, or several among which the audits choose."""

from __future__ import annotations

from dataclasses import dataclass

from edge_client.domains.choosing import Choosing
from edge_client.inference.pool import Models
from edge_client.promise.feedback import Feedback


@dataclass(frozen=True)
class Cast:
    """Who writes a text.

    Attributes:
        models: what drafts and doubts.
        feedback: what the audits teach; None where nothing is steered.
        verifier: the one that begins.
    """

    models: Models
    feedback: Feedback | None
    verifier: str

    @property
    def writing(self) -> str:
        """The verifier that doubts now."""
        return self.feedback.panel.present.name if isinstance(self.feedback, Choosing) else self.verifier

    def decided(self, steps: int) -> dict[str, int] | None:
        """About how many of so many drafted tokens each verifier decided; None where the bundle has one only."""
        if isinstance(self.feedback, Choosing):
            contenders = self.feedback.panel.contenders.values()
            return {one.name: one.tokens for one in contenders if one.tokens}
        return {self.verifier: steps} if self.models.verifiers else None
