"""One text to be written, before its first token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_client.bundles.bundle import Bundle
from edge_client.decoding.text import Text
from edge_client.settings import Settings
from edge_client.target.client import TargetClient
from shared.config import Coupling, Mode
from shared.errors import ContextLengthError
from shared.grammar.engine import Grammar
from shared.stopping import Stopper
from shared.tokenizer import StreamDecoder, special_tokens


@dataclass(frozen=True)
class Job:
    """One text to be written: how, and with whose help.

    Attributes:
        fits: the bundle was calibrated with these very models, and with texts that are kept to nothing, as this one.
        grammar: what the text keeps to; None where that is nothing.
    """

    text: Text
    settings: Settings
    client: TargetClient | None
    fits: bool
    provisional: bool
    grammar: Grammar | None = None

    @property
    def mode(self) -> Mode:
        return self.settings.effective_mode


def begin(bundle: Bundle, ids: Sequence[int], settings: Settings, client: TargetClient | None) -> Text:
    """A text that is its prompt so far.

    Args:
        ids: of the prompt.

    Raises:
        ContextLengthError: a prompt that leaves no room for a token, here or at the target.
    """
    context = bundle.manifest.context
    if client is not None:
        context = min(context, client.description.context)
    room = context - len(ids)
    if room < 1:
        raise ContextLengthError(
            f"the prompt has {len(ids)} tokens, and the context holds {context}; shorten the prompt to "
            f"{context - 1} or fewer"
        )
    spelled = special_tokens(bundle.tokenizer) if settings.stop else {}
    most = room if settings.max_tokens is None else min(settings.max_tokens, room)
    stopper = Stopper(bundle.manifest.end_ids, settings.stop, most, spelled)
    return Text(ids, StreamDecoder(bundle.tokenizer, ids), stopper)


def not_as_asked(settings: Settings, text: Text) -> list[str]:
    """What is known before the first token to come out otherwise than the settings may let one think."""
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
