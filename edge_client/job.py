"""One text that is to be written: how, with what, and what is known of it before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_client.auto.chooser import Chooser
from edge_client.auto.pace import Pace
from edge_client.bundles.bundle import Bundle
from edge_client.bundles.kit import Kit
from edge_client.decoding.generation import Generation
from edge_client.decoding.text import Text
from edge_client.domains.cast import Cast
from edge_client.domains.choosing import Choosing, Panel
from edge_client.domains.contender import Contender
from edge_client.inference.pool import Models
from edge_client.promise import drift, standing
from edge_client.promise.beginning import Beginning, agreement_of, asked_of
from edge_client.promise.feedback import Feedback
from edge_client.promise.memory import Lesson
from edge_client.settings import Settings
from edge_client.target.client import TargetClient
from edge_client.usage.notes import repetition_note
from shared.config import Coupling, Mode
from shared.errors import ContextLengthError
from shared.grammar.engine import Grammar
from shared.manifest import Manifest
from shared.stopping import Stopper
from shared.tokenizer import StreamDecoder, special_tokens


@dataclass(frozen=True)
class Job:
    """One text to be written: how, and with whose help.

    Attributes:
        kit: the models, and what was learned with them.
        verifiers: those that may doubt it.
        grammar: what the text keeps to; None where that is nothing.
    """

    text: Text
    settings: Settings
    client: TargetClient | None
    kit: Kit
    verifiers: tuple[str, ...]
    provisional: bool
    grammar: Grammar | None = None

    @property
    def mode(self) -> Mode:
        """Who leads."""
        return self.settings.effective_mode

    def chooser(self, cast: Cast, pace: Pace) -> Chooser:
        """Who decides in `auto`."""
        settings, manifest, feedback = self.settings, self.seen_by(cast.verifier), cast.feedback
        agreement = agreement_of(manifest.doubts, settings.sampling)
        kind = (settings.criterion, settings.budget, settings.temperature, settings.top_p, settings.top_k)
        modes: tuple[Mode, ...] = (Mode.EXACT, Mode.CLOUD)
        asks = 0.0
        if feedback is not None:
            modes, asks = (Mode.SPRINT, *modes), self._asks(feedback, cast.verifier)
        window, begins = settings.window_of(Mode.SPRINT), self.text.prompt_length
        most = self.text.remaining
        return Chooser(pace, kind, settings.prefer, modes, begins, window, asks, agreement, most=most)

    def seen_by(self, verifier: str) -> Manifest:
        """What the bundle is, with the tables of one of its verifiers."""
        return self.kit.bundle.manifest.seen_by(verifier)

    def mismatches(self, verifier: str | None = None) -> list[str]:
        """Why what was calibrated need not hold, for one verifier or for all that may doubt; a sentence each, once."""
        target = self.client.description if self.client else None
        names = self.verifiers if verifier is None else (verifier,)
        found = [drift.mismatches(self.seen_by(name), target, self.settings.criterion) for name in names]
        return list(dict.fromkeys(sentence for sentences in found for sentence in sentences))

    def misgivings(self) -> list[str]:
        """Why more may be asked than the bundle promises, as far as that is known before the first token."""
        target = self.client.description if self.client else None
        noise = drift.rounding(self.kit.bundle.manifest, target, self.settings)
        return [*self.mismatches(), *self.kit.once(noise), *self.unfamiliar()]

    def unfamiliar(self) -> list[str]:
        """Whether the prompt is worded unlike what any of the verifiers was calibrated on."""
        tokenizer, ids = self.kit.bundle.tokenizer, self.text.sequence
        found = [drift.unfamiliar_prompt(self.seen_by(name), tokenizer, ids) for name in self.verifiers]
        return found[0] if all(found) else []

    def beginning(self, verifier: str) -> Beginning:
        """Where a budget for the text begins."""
        manifest, tokenizer, settings = self.seen_by(verifier), self.kit.bundle.tokenizer, self.settings
        return Beginning.of(
            manifest,
            settings.criterion,
            settings.sampling,
            self._fits(verifier),
            lambda: drift.unlike(manifest, tokenizer, self.text.sequence),
        )

    def cast(self, models: Models, lesson: Lesson | None) -> Cast:
        """Who drafts and doubts, and what the audits teach: they may say which of several verifiers doubts best."""
        name, losses = self.verifiers[0], {}
        if len(self.verifiers) > 1:
            is_unlike = {name: self.beginning(name).unlike() > 0 for name in self.verifiers}
            losses = standing.first(lesson.losses if lesson else {}, is_unlike)
            name = standing.leader(losses)
        if lesson is None or not losses:
            models = replace(models, verifier=models.verifiers.get(name, models.verifier))
            return Cast(models, lesson.feedbacks[name] if lesson else None, name)
        contenders = {
            one: Contender(one, models.verifiers[one], feedback) for one, feedback in lesson.feedbacks.items()
        }
        panel = Panel(contenders, name, self.settings.sampling.temperature)
        choosing = Choosing(self.settings.criterion, panel, losses, lesson.lost)
        return Cast(replace(models, verifier=panel), choosing, name)

    def hindsight(self, generation: Generation, cast: Cast) -> list[str]:
        """What a finished text suggests."""
        found, feedback = [], cast.feedback
        assert generation.summary is not None, "a finished text has its figures"
        if feedback is not None:
            drafter, manifest = generation.drafter, self.seen_by(cast.writing)
            entropy = drafter.entropy / max(drafter.steps, 1)
            found += drift.unfamiliar_text(manifest, self.settings.sampling, drafter.steps, entropy)
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

    def _asks(self, feedback: Feedback, verifier: str) -> float:
        """The share of tokens that `sprint` is expected to ask about in the long run; a budget's first texts differ."""
        settings, found = self.settings, None
        if self._fits(verifier):
            calibration = self.seen_by(verifier).calibration
            found = asked_of(calibration, settings.criterion, settings.sampling, settings.budget)
        return self.beginning(verifier).ask_rate(feedback.budget.threshold) if found is None else found

    def _fits(self, verifier: str) -> bool:
        """Whether it was calibrated with these very models, and with texts that are kept to nothing, as this one."""
        return self.grammar is None and not self.mismatches(verifier)


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
