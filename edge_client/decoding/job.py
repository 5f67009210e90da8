"""One text to be written: how, and with whose help."""

from __future__ import annotations

from dataclasses import dataclass

from edge_client.decoding.text import Text
from edge_client.settings import Settings
from edge_client.target.client import TargetClient
from shared.config import Mode


@dataclass(frozen=True)
class Job:
    """What is known of a text before it begins.

    Attributes:
        client: of the target; None where none is asked.
        fits: the bundle was calibrated with these very models.
        provisional: tell also of tokens that the target has not judged yet.
    """

    text: Text
    settings: Settings
    client: TargetClient | None
    fits: bool
    provisional: bool

    @property
    def mode(self) -> Mode:
        return self.settings.effective_mode
