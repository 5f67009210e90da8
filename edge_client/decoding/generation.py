"""One text from its first token to its figures: the loop, the tail's audit, and everything given back at the end."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from time import perf_counter
from typing import assert_never

from edge_client.decoding.decoder import Listener, decode
from edge_client.decoding.drafter import Drafter
from edge_client.decoding.policy import Cloud, Exact, Local, Policy, Sprint
from edge_client.decoding.preview import Preview
from edge_client.decoding.record import Record
from edge_client.decoding.text import Retract, Text, Token
from edge_client.inference.pool import Models
from edge_client.promise.feedback import Feedback
from edge_client.settings import Settings
from edge_client.target.session import TargetSession
from edge_client.usage.meter import Meter
from edge_client.usage.summary import Summary, Times
from shared.config import Coupling, Mode
from shared.sampling import Sampler
from shared.stopping import FinishReason

# The tail audit is worth this much patience, in seconds, once the text is on the screen.
TAIL_WAIT = 2.0


class Generation:
    """One text being written.

    Args:
        text: begins as the prompt.
        settings: how it is to be written.
        models: what drafts and doubts, lent for the time of the text.
        session: the conversation with the target, closed at the end; None in `local`.
        feedback: what the audits teach, in `sprint` only.
        first_threshold: in `local`, of doubt; what `sprint` would begin with, which `local` counts against.
        provisional: also show tokens that the target has not judged yet.

    Attributes:
        summary: the figures, of a text that was given up too; None before its end.
        drafter: what has been drafted.
    """

    def __init__(
        self,
        text: Text,
        settings: Settings,
        models: Models,
        session: TargetSession | None,
        feedback: Feedback | None,
        first_threshold: float | None,
        provisional: bool = False,
    ) -> None:
        self.text = text
        self.summary: Summary | None = None
        self._settings = settings
        self._session = session
        self._feedback = feedback
        self._policy = _policy(settings, feedback, first_threshold)
        self.drafter = Drafter(
            models.draft,
            Sampler(settings.sampling),
            models.verifier if self._policy.uses_verifier else None,
            settings.criterion,
            feedback,
        )
        self._preview = Preview(text) if provisional else None

    def write(self) -> Generator[Token | Retract]:
        """The tokens, one after the other. Closing the iterator ends the text."""
        begin, first = perf_counter(), None
        record, feedback, session = Record(), self._feedback, self._session
        listeners: Sequence[Listener] = (record, feedback) if feedback else (record,)
        send_q = self._settings.coupling is Coupling.RESIDUAL
        times = None
        try:
            events = decode(self.text, self.drafter, self._policy, session, listeners, send_q, self._preview)
            for event in events:  # the first, whose time is told apart; the others cost nothing here
                first = perf_counter() - begin
                yield event
                break
            yield from events
            times = self._times(begin, first)
            is_cancelled = self.text.finish_reason is FinishReason.CANCELLED
            if feedback and session and self._settings.audit and not is_cancelled:
                tail = session.audit(self.text.sequence, TAIL_WAIT)
                if tail is not None:
                    record.audited(tail)
                    feedback.audited(tail)
        finally:
            if session is not None:
                session.close()
            # A text that was given up has taught something, too.
            if feedback is not None:
                feedback.finish()
            self.summary = record.summary(
                self.text,
                times or self._times(begin, first),
                session.meter if session else Meter(),
                threshold=max(feedback.budget.threshold, 0.0) if feedback else None,
                doubted=self._policy.doubted if isinstance(self._policy, Local) else None,
            )

    def _times(self, begin: float, first: float | None) -> Times:
        total, meter = perf_counter() - begin, self._session.meter if self._session else Meter()
        return Times.of(1e3 * total, 1e3 * (first or 0.0), self.drafter.draft_ns, self.drafter.verifier_ns, meter)


def _policy(settings: Settings, feedback: Feedback | None, first_threshold: float | None) -> Policy:
    match settings.effective_mode:
        case Mode.CLOUD:
            return Cloud()
        case Mode.EXACT:
            return Exact(settings.effective_window)
        case Mode.LOCAL:
            assert first_threshold is not None, "local counts against one"
            return Local(first_threshold)
        case Mode.SPRINT:
            assert feedback is not None, "sprint is steered"
            return Sprint(feedback.budget, settings.effective_window)
        case mode:
            assert_never(mode)
