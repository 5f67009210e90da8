"""What is known before the first token to come out otherwise than its settings may let one think."""

from __future__ import annotations

from edge_client.decoding.text import Text
from edge_client.settings import Settings
from shared.config import Coupling, Mode


def caveats(settings: Settings, text: Text) -> list[str]:
    """What is to be said of a text that is about to be written, a sentence each."""
    found = []
    if settings.max_tokens is not None and text.remaining < settings.max_tokens:
        found.append(
            f"only {text.remaining} tokens fit into the context after the {text.prompt_length} of the prompt: no more "
            f"are written, though {settings.max_tokens} were asked for"
        )
    if settings.effective_mode is Mode.EXACT and settings.coupling is Coupling.RESIDUAL:
        found.append(
            "with the residual coupling, exact text is distributed as the target's own, but is not the text that mode "
            "cloud writes with the same seed; the coupling gumbel gives that one"
        )
    return found
