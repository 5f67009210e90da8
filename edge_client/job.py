"""One text that is to be written: how, with what, and what is known of it before and after."""

from __future__ import annotations

from dataclasses import dataclass

from edge_client.auto.chooser import Chooser
from edge_client.auto.pace import Pace
from edge_client.bundles.bundle import Bundle
from edge_client.bundles.kit import Kit
from edge_client.decoding.generation import Generation
from edge_client.decoding.text import Text
from edge_client.promise import drift
from edge_client.promise.beginning import Beginning, agreement_of, asked_of
from edge_client.promise.feedback import Feedback
from edge_client.settings import Settings
from edge_client.target.client import TargetClient
from edge_client.usage.notes import repetition_note
from shared.config import Coupling, Mode
from shared.errors import ContextLengthError
from shared.grammar.engine import Grammar
from shared.stopping import Stopper
from shared.tokenizer import StreamDecoder, special_tokens


@dataclass(frozen=True)
class Job:
    """One text to be written: how, and with whose help.

    Attributes:
        kit: the models, and what was learned with them.
        fits: the bundle was calibrated with these very models, and with texts that are kept to nothing, as this one.
        grammar: what the text keeps to; None where that is nothing.
    """

    text: Text
    settings: Settings
    client: TargetClient | None
    kit: Kit
    fits: bool
    provisional: bool
    grammar: Grammar | None = None

    @property
    def mode(self) -> Mode:
        """Who leads."""
        return self.settings.effective_mode

    def chooser(self, feedback: Feedback | None, pace: Pace) -> Chooser:
        """Who decides in `auto`."""
        settings, manifest = self.settings, self.kit.bundle.manifest
        agreement = agreement_of(manifest.doubts, settings.sampling)
        kind = (settings.criterion, settings.budget, settings.temperature, settings.top_p, settings.top_k)
        modes: tuple[Mode, ...] = (Mode.EXACT, Mode.CLOUD)
        asks = 0.0
        if feedback is not None:
            modes, asks = (Mode.SPRINT, *modes), self._asks(feedback)
        window, begins = settings.window_of(Mode.SPRINT), self.text.prompt_length
        return Chooser(pace, kind, settings.prefer, modes, begins, window, asks, agreement)

    def beginning(self) -> Beginning:
        """Where a budget for the text begins."""
        bundle, settings = self.kit.bundle, self.settings
        return Beginning.of(
            bundle.manifest,
            settings.criterion,
            settings.sampling,
            self.fits,
            lambda: drift.unlike(bundle.manifest, bundle.tokenizer, self.text.sequence),
        )

    def hindsight(self, generation: Generation, feedback: Feedback | None) -> list[str]:
        """What a finished text suggests."""
        found = []
        assert generation.summary is not None, "a finished text has its figures"
        if feedback is not None:
            drafter = generation.drafter
            entropy = drafter.entropy / max(drafter.steps, 1)
            found += drift.unfamiliar_text(self.kit.bundle.manifest, self.settings.sampling, drafter.steps, entropy)
        overdrawn = feedback is not None and feedback.budget.overdrawn
        found += repetition_note(generation.summary)
        return found + drift.advice(self.mode, generation.summary, overdrawn)

    def not_as_asked(self) -> list[str]:
        """What is known before the first token to come out otherwise than the settings may let one think."""
        settings, text, found = self.settings, self.text, []
        if settings.max_tokens is not None and text.remaining < settings.max_tokens:
            found.append(
                f"only {text.remaining} tokens fit into the context after the {text.prompt_length} of the prompt: no "
                f"more are written, though {settings.max_tokens} were asked for"
            )
        if self.mode is Mode.EXACT and settings.coupling is Coupling.RESIDUAL:
            found.append(
                "with the residual coupling, exact text is distributed as the target's own, but is not the text that "
                "mode cloud writes with the same seed; the coupling gumbel gives that one"
            )
        return found

    def _asks(self, feedback: Feedback) -> float:
        """The share of tokens that `sprint` is expected to ask about in the long run; a budget's first texts differ."""
        settings, found = self.settings, None
        if self.fits:
            calibration = self.kit.bundle.manifest.calibration
            found = asked_of(calibration, settings.criterion, settings.sampling, settings.budget)
        return self.beginning().ask_rate(feedback.budget.threshold) if found is None else found


def begun(bundle: Bundle, ids: list[int], settings: Settings, client: TargetClient | None) -> Text:
    """A text of which there is only the prompt.

    Raises:
        ContextLengthError: it leaves no room for a token.
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
