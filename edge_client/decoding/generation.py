"""One text from its first token to its figures: the loop, the tail's audit, and everything given back at the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from time import perf_counter

from edge_client.auto.chooser import Chooser
from edge_client.decoding.alone import hold_out, write_alone
from edge_client.decoding.constraint import Constraint
from edge_client.decoding.decoder import Listener, draft_and_ask, tell
from edge_client.decoding.drafter import Drafter
from edge_client.decoding.led import Guesses, let_the_target_write
from edge_client.decoding.policy import Local, Sprint
from edge_client.decoding.preview import Preview
from edge_client.decoding.questions import Questions
from edge_client.decoding.record import Record
from edge_client.decoding.text import Event, Origin, Text, Token
from edge_client.decoding.tree import Tree
from edge_client.decoding.windows import guess_and_judge
from edge_client.inference.pool import Models
from edge_client.promise.feedback import Feedback
from edge_client.settings import OnOutage, Prefer, Settings
from edge_client.target.reading import GivenUp
from edge_client.target.session import TargetSession
from edge_client.target.verdict import Audit
from edge_client.usage.audit_counts import AuditCounts
from edge_client.usage.meter import Meter
from edge_client.usage.summary import Summary, Times
from shared.config import Coupling, Mode
from shared.errors import TargetAway
from shared.grammar.engine import Grammar
from shared.sampling import Sampler
from shared.stopping import FinishReason

# The tail audit is worth this much patience, in seconds, once the text is on the screen.
TAIL_WAIT = 2.0
# What a reader is told where the target is away, by who leads.
GOES_ON = "the text goes on from the draft alone"
HOLDS_OUT = "what is shown is the draft's guess"
WAITS = "the text waits"


class Generation:
    """One text being written.

    Args:
        text: begins as the prompt.
        settings: how it is to be written.
        models: what drafts and doubts, lent for the time of the text.
        session: the conversation with the target, closed at the end; None in `local`, and where the target is away from
            the beginning.
        feedback: what the audits teach, in `sprint` only.
        end_ids: tokens that end the text.
        foresight: see `edge_client.promise.beginning.foresight`.
        first_threshold: in `local`, of doubt; what `sprint` would begin with, which `local` counts against.
        provisional: also show tokens that the target has not judged yet.
        chooser: in `auto`, says who leads.
        grammar: what the text must keep to; None where that is nothing.

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
        end_ids: Collection[int],
        foresight: Sequence[float] | None,
        first_threshold: float | None,
        provisional: bool = False,
        chooser: Chooser | None = None,
        grammar: Grammar | None = None,
    ) -> None:
        self.text = text
        self.summary: Summary | None = None
        self._begin = 0.0
        self._first: float | None = None  # seconds until the first settled token
        self._settings = settings
        self._session = session
        self._feedback = feedback
        self._end_ids = end_ids
        self._foresight = foresight
        self._chooser = chooser
        self._local: Local | None = None
        if settings.effective_mode is Mode.LOCAL:
            assert first_threshold is not None, "local counts against one"
            self._local = Local(first_threshold)
        constraint = None
        if grammar is not None:
            constraint = Constraint(grammar, text.prompt_length, end_ids, settings.sampling)
        strictly: set[int] | None = None
        if settings.counts_structure_strictly:
            strictly = feedback.strictly if feedback else set()
        self.drafter = Drafter(
            models.draft,
            Sampler(settings.sampling),
            None if settings.effective_mode is Mode.CLOUD else models.verifier,
            settings.criterion,
            feedback,
            keeps_q=settings.coupling is Coupling.RESIDUAL and session is not None,
            constraint=constraint,
            strictly=strictly,
        )
        self._record = Record(() if strictly is None else strictly)
        self._reused = models.draft.length
        self._questions: Questions | None = None
        # Of what the target writes alone, or the device, nothing is provisional.
        judged = settings.effective_mode not in (Mode.LOCAL, Mode.CLOUD)
        self._preview = Preview(text) if provisional and judged else None

    def write(self) -> Generator[Event]:
        """The tokens, one after the other. Closing the iterator ends the text."""
        self._begin = begin = perf_counter()
        record, feedback, session = self._record, self._feedback, self._session
        listeners: Sequence[Listener] = (record, feedback) if feedback else (record,)
        times = None
        try:
            events = self._written(listeners)
            for event in events:  # until the first settled one, whose time is told apart; the others cost nothing here
                if isinstance(event, Token):
                    self._first = perf_counter() - begin
                yield event
                if self._first is not None:
                    break
            yield from events
            times = self._times()
            if self._chooser is not None:
                self._chooser.measure(self.text.shown, record.asked)
            is_cancelled = self.text.finish_reason is FinishReason.CANCELLED
            if self._settings.audit and not is_cancelled:
                self._audit_tail(session, listeners)
            if session is not None and not is_cancelled:
                session.finish()
        finally:
            self.text.break_off()
            if session is not None:
                session.close()
            # A text that was given up has taught something, too.
            self._take_effect(listeners)
            if feedback is not None:
                feedback.finish()
            self.summary = self._summary(times)

    def so_far(self) -> Summary:
        """The figures of what there is of the text; for whoever reads its tokens, in the same thread."""
        return self.summary or self._summary()

    @property
    def nll(self) -> list[float | None]:
        """Of each token shown, under the target, nats; None where it has not seen it."""
        return [self._record.known.get(place) for place in range(self.text.prompt_length, self.text.shown)]

    @property
    def promised(self) -> AuditCounts:
        """What the audits say of what the promise is about: all but the tokens written while the target was away."""
        return self._record.counts(self.text, but=Origin.ALONE)

    def _written(self, listeners: Sequence[Listener]) -> Iterator[Event]:
        """What the loop of the mode writes; of a text that is given up, up to there."""
        try:
            yield from self._events(listeners)
        except GivenUp:
            if self._preview is not None:
                yield from self._preview.take_back()

    def _events(self, listeners: Sequence[Listener]) -> Iterator[Event]:
        """The loop of the mode."""
        settings, text, drafter, session = self._settings, self.text, self.drafter, self._session
        window, preview = settings.effective_window, self._preview
        if self._local is not None:
            return draft_and_ask(text, drafter, Tree(drafter, self._local.accepts, window), None)
        if session is None:
            return write_alone(text, drafter)
        match settings.effective_mode:
            case Mode.CLOUD:
                return self._led(session, lambda: let_the_target_write(text, session, listeners))
            case Mode.EXACT if settings.coupling is Coupling.RESIDUAL:
                session.read_ahead(text.sequence)
                return self._led(session, lambda: guess_and_judge(text, drafter, session, window, listeners, preview))
            case Mode.EXACT:
                guesses = self._guesses(session)
                return self._led(
                    session, lambda: let_the_target_write(text, session, listeners, guesses, preview), guesses
                )
            case Mode.AUTO:
                return self._by_turns(session, listeners)
        return self._sprint(session, listeners, lambda: True)

    def _led(
        self, session: TargetSession, write: Callable[[], Iterator[Event]], guesses: Guesses | None = None
    ) -> Iterator[Event]:
        """The target leads, from the first token to the last; nothing is settled without it."""
        text, preview = self.text, self._preview
        while not text.finished:
            try:
                yield from write()
            except TargetAway as away:
                self._see_that_it_goes_on(away)
                if guesses is not None:
                    guesses.rest()
                text.drop_held()
                meanwhile = HOLDS_OUT if preview else WAITS
                absence = session.leave_off(text.sequence, away, meanwhile if away.may_return else GOES_ON)
                yield from hold_out(text, self.drafter, absence, self._end_ids, preview)
                if guesses is not None:
                    guesses.resume()

    def _by_turns(self, session: TargetSession, listeners: Sequence[Listener]) -> Iterator[Event]:
        """Whoever leads best by what is measured, for as long as that is so."""
        text, chooser, guesses = self.text, self._chooser, self._guesses(session)
        assert chooser is not None, "auto has to be decided"

        def device_leads() -> bool:
            self._review(chooser)
            return chooser.mode is Mode.SPRINT

        def target_leads() -> bool:
            if self._review(chooser):
                guesses.rest() if chooser.mode is Mode.CLOUD else guesses.resume()
            return chooser.mode is not Mode.SPRINT

        while not text.finished:
            if chooser.mode is Mode.SPRINT:
                yield from self._sprint(session, listeners, device_leads)
                continue
            guesses.rest() if chooser.mode is Mode.CLOUD else guesses.resume()
            try:
                # The budget is told of what the device writes; the target makes no errors that could be made good for.
                yield from let_the_target_write(text, session, (self._record,), guesses, self._preview, target_leads)
                guesses.rest()
            except TargetAway as away:
                guesses.rest()
                yield from self._alone(session, away, listeners)

    def _review(self, chooser: Chooser) -> bool:
        return chooser.shown(self.text.shown, self.text.remaining, self._record.asked)

    def _sprint(
        self, session: TargetSession, listeners: Sequence[Listener], stays: Callable[[], bool]
    ) -> Iterator[Event]:
        """The device leads, from here on, for as long as it `stays` so; then all that it showed is audited."""
        assert self._feedback is not None, "sprint is steered"
        settings, text, window = self._settings, self.text, self._settings.effective_window
        # With the residual coupling, what replaces a token is drawn with noise of its own, so nobody can foresee it.
        bets = settings.coupling is Coupling.GUMBEL
        accepts = Sprint(self._feedback.gate).accepts
        tree = Tree(self.drafter, accepts, window, self._end_ids, self._foresight, bets)
        # Its tail is audited at the latest, so the target reads it anyway; without that, only where time counts.
        if settings.audit or settings.prefer is not Prefer.COST:
            session.read_ahead(text.sequence)
        while not text.finished and stays():
            questions = self._questions = Questions(session, text.shown, window)
            try:
                yield from draft_and_ask(text, self.drafter, tree, questions, listeners, self._preview, stays)
                tree.clear()
                if not text.finished:
                    questions.settle(text)
                    self._take_effect(listeners)
                    self._questions = None
            except TargetAway as away:
                tree.clear()
                yield from self._alone(session, away, listeners)

    def _alone(self, session: TargetSession, away: TargetAway, listeners: Sequence[Listener]) -> Iterator[Event]:
        """The device goes on alone until the target answers again and has audited all that is shown."""
        self._see_that_it_goes_on(away)
        text = self.text
        self._take_effect(listeners)
        self._questions = None
        while True:
            if self._preview is not None:
                yield from self._preview.take_back()
            yield from write_alone(text, self.drafter, session.leave_off(text.sequence, away, GOES_ON))
            if text.finished:
                return
            try:
                self._hear(session.audit(text.sequence), listeners)
                return
            except TargetAway as again:
                away = again

    def _see_that_it_goes_on(self, away: TargetAway) -> None:
        if self._settings.on_outage is not OnOutage.LOCAL:
            raise away

    def _audit_tail(self, session: TargetSession | None, listeners: Sequence[Listener]) -> None:
        """Have what is not audited yet audited, where that takes only a moment."""
        if self._questions:
            tail = self._questions.finish(self.text, TAIL_WAIT)
            self._take_effect(listeners)
            self._hear(tail, listeners)
        elif session is not None and Origin.ALONE in self.text.origins:
            self._hear(session.audit(self.text.sequence, TAIL_WAIT), listeners)

    def _hear(self, audit: Audit | None, listeners: Sequence[Listener]) -> None:
        """Let an audit count; the promise is not about what was written while there was nobody to ask."""
        if audit is None:
            return
        begin = audit.position - self.text.prompt_length
        origins = self.text.origins[begin : begin + len(audit)]
        steered = origins.index(Origin.ALONE) if Origin.ALONE in origins else len(origins)
        promised, alone = audit.split(steered)
        for listener in listeners if len(promised) else ():
            listener.audited(promised)
        self._record.audited(alone)

    def _guesses(self, session: TargetSession) -> Guesses:
        """Of what the target writes."""
        tree = Tree(self.drafter, None, end_ids=self._end_ids, foresight=self._foresight)
        return Guesses(self.drafter, tree, session, self._settings.window_of(Mode.EXACT))

    def _take_effect(self, listeners: Sequence[Listener]) -> None:
        for answer in self._questions.take_effect() if self._questions else ():
            tell(listeners, *answer)

    def _summary(self, times: Times | None = None) -> Summary:
        session, feedback = self._session, self._feedback
        return self._record.summary(
            self.text,
            times or self._times(),
            session.meter if session else Meter(),
            threshold=max(feedback.budget.threshold, 0.0) if feedback else None,
            drafted=self.drafter.drafted,
            reused_draft=self._reused,
            reused_target=session.reused if session else 0,
            doubted=self._local.doubted if self._local else None,
        )

    def _times(self) -> Times:
        total, meter = perf_counter() - self._begin, self._session.meter if self._session else Meter()
        first, drafter = self._first or 0.0, self.drafter
        return Times.of(1e3 * total, 1e3 * first, drafter.draft_ns, drafter.verifier_ns, meter)
