"""The edge: a bundle, a target and the promises that it keeps, composed once. All that writes goes through it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, Unpack, overload

from edge_client.auto.chooser import Chooser
from edge_client.auto.explain import explanation
from edge_client.auto.pace import Pace
from edge_client.auto.paces import Paces
from edge_client.auto.readings import Readings
from edge_client.bundles.bundle import Bundle
from edge_client.bundles.pocket import POCKET
from edge_client.decoding.generation import Generation
from edge_client.decoding.text import Event, Token
from edge_client.job import Job, begin, not_as_asked
from edge_client.promise import drift
from edge_client.promise.beginning import Beginning, agreement_of, asked_of, foresight
from edge_client.promise.feedback import Feedback
from edge_client.promise.memory import Memory
from edge_client.promise.promises import Promise
from edge_client.settings import LOCAL_ONLY, OnOutage, Options, Settings, is_local_only
from edge_client.stream import Completion, Ending, LinkWarning, LossWarning, Stream
from edge_client.target.client import TargetClient
from edge_client.target.connection import Connection
from edge_client.target.credentials import Credentials
from edge_client.target.outage import tell_nobody
from edge_client.target.retry import Clock, Retry
from edge_client.target.transport import Transport
from edge_client.usage.audit_counts import AuditReport
from edge_client.usage.notes import repetition_note
from shared import values
from shared.chat.template import Message
from shared.config import Mode
from shared.errors import InputError, TandemError, TargetAway
from shared.grammar import library
from shared.stopping import FinishReason


class Edge:
    """Writes texts on this device, and has a target judge what the draft's verifier doubts; a context manager.

    Several texts may be written at once, from several threads: each has its own cache and its own session, and those
    under the same promise (criterion, budget, coupling, target) teach it together.

    Args:
        target: "host:port" of `cloud-target serve`; None writes alone, in `local`. The connection is made when the
            first text needs it.
        bundle: a directory, or one that is loaded already; by default the one that ships with Tandem.
        credentials: how the target is reached; by default without encryption and token.
        transport: reaches the target in the place of gRPC, as those of `edge_client.testing` do; closed by `close`.
            It takes the place of `target` and `credentials`.
        memory: where the promise is kept between texts: True, in the user's state directory, from run to run; a
            directory, there; False, in this object only.
        threads: of each model.
        retry: how patiently the target is asked.
        clock: time as the waiting sees it.
        conversations: of so many finished texts what was read is kept, here and at the target, so that a prompt which
            goes on from one (the next turn of a chat) is read only from there on. With 0 every text begins anew, and is
            the same to the last bit whatever was written before.
        notify: is told at once, in a sentence, when the target does not answer for more than a moment, and when it
            answers again; by the thread that waits for it.
        options: defaults of all texts, by the names of `Settings`; the mode is `local` where there is no target, or the
            environment has `TANDEM_LOCAL_ONLY`.

    Attributes:
        settings: the defaults of all texts.
        bundle: the models.

    Raises:
        InputError: an unknown option, or a value out of range.
        BundleError: a bundle that is missing, damaged, or of another model.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        bundle: str | Path | Bundle = POCKET,
        credentials: Credentials | None = None,
        transport: Transport | None = None,
        memory: bool | str | Path = True,
        threads: int = 1,
        retry: Retry | None = None,
        clock: Clock | None = None,
        notify: Callable[[str], None] | None = None,
        conversations: int = 0,
        **options: Unpack[Options],
    ) -> None:
        alone = is_local_only() or (target is None and transport is None)
        self.settings = Settings(mode=Mode.LOCAL if alone else Mode.SPRINT).override(**options)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle, threads)
        self._notify = notify or tell_nobody
        for name, given, kind in (("credentials", credentials, Credentials), ("retry", retry, Retry)):
            if given is not None and not isinstance(given, kind):
                raise InputError(f"{name} must be of edge_client.{kind.__name__}, not {given!r}", options=(name,))
        if target is not None:
            values.string("target", target)
        self._conversations = values.whole("conversations", conversations)
        if self._conversations < 0:
            raise InputError(f"conversations must be 0 or more, not {conversations}")
        self._connection = Connection(target, transport, credentials, retry, clock, self._notify, self._conversations)
        self._keeps = memory if isinstance(memory, bool) else values.path("memory", memory)
        self._memory: Memory | None = None
        self._paces: Paces | None = None
        self._lock = threading.RLock()

    def generate(self, prompt: str | Iterable[int], **options: Unpack[Options]) -> Completion:
        """Write a text after `prompt`, and return the whole.

        Args:
            prompt: text, or token ids.
            options: for this text, by the names of `Settings`.

        Raises:
            InputError: no prompt, an unknown option, or a value out of range.
            ContextLengthError: a prompt that leaves no room for a token.
            TargetError: the target cannot be asked: it is not reached, refuses, or has another tokenizer.
        """
        return self.stream(prompt, **options).finish()

    def chat(self, messages: Sequence[Message], **options: Unpack[Options]) -> Completion:
        """Write the assistant's next turn, and return the whole; turns are written as the bundle's template has them.

        Args:
            messages: the turns so far, each with a role (system, user, assistant, ...) and its content.
            options: as for `generate`.

        Raises:
            BundleError: the bundle has no chat template, or one that cannot be used.
            InputError: turns that the template does not take. Others as `generate` raises them.
        """
        return self.generate(self.bundle.encode_chat(messages), **options)

    @overload
    def stream(
        self, prompt: str | Iterable[int], *, provisional: Literal[False] = False, **options: Unpack[Options]
    ) -> Stream[Token]: ...

    @overload
    def stream(
        self, prompt: str | Iterable[int], *, provisional: Literal[True], **options: Unpack[Options]
    ) -> Stream[Event]: ...

    @overload
    def stream(
        self, prompt: str | Iterable[int], *, provisional: bool, **options: Unpack[Options]
    ) -> Stream[Event]: ...

    def stream(
        self, prompt: str | Iterable[int], *, provisional: bool = False, **options: Unpack[Options]
    ) -> Stream[Event]:
        """Write a text after `prompt`; the tokens come as they are settled.

        Args:
            prompt: text, or token ids.
            provisional: tell also of drafted tokens that the target has not judged yet, as `Provisional`. Each `Token`
                that comes then takes the place of the first of them, if there are any; those that the text does not
                go on with are taken back by a `Retract` before. What is provisional where a stream is closed, or ends
                by an exception, is no part of the text.
            options: as for `generate`.

        Raises:
            As `generate` does; while it is iterated over, too.
        """
        settings = self.settings.override(**options)
        if settings.needs_target:
            _see_that_it_may_be_asked()
        ids, grammar = self.bundle.encode(prompt), self.bundle.compile(settings)
        client, alone = self._reach(settings) if settings.needs_target else (None, "")
        mismatches = drift.mismatches(self.bundle.manifest, client.description if client else None, settings.criterion)
        if grammar is not None and client is not None:
            client.description.check_grammars(library.version(), client.address)
        fits = not mismatches and grammar is None
        job = Job(begin(self.bundle, ids, settings, client), settings, client, fits, provisional, grammar)
        ending = Ending(not_as_asked(settings, job.text))
        if alone:
            ending.warnings.append(LinkWarning(alone))
            self._notify(alone)
        memory = None
        if settings.steers:
            memory = self._remember(ending)
            ending.warnings += mismatches
            ending.warnings += drift.unfamiliar_prompt(self.bundle.manifest, self.bundle.tokenizer, ids)
        return Stream(job.text, job.mode, ending, self._write(job, memory, ending))

    def _reach(self, settings: Settings) -> tuple[TargetClient | None, str]:
        """The target, or what to tell the reader where it is away and the text is written without it."""
        try:
            return self._connection.client(self.bundle.manifest, settings.timeout), ""
        except TargetAway as away:
            if not settings.begins_alone:
                raise
            return None, f"{away.clause}: the draft writes this text alone"

    def connect(self) -> TargetClient:
        """The connection to the target, made now if there is none yet: for programs that ask it something themselves.

        It belongs to this edge, which closes it.

        Raises:
            InputError: there is no target to connect to, or this edge was closed.
            TargetError: it is not reached, refuses, or has another tokenizer than the bundle.
        """
        _see_that_it_may_be_asked()
        return self._connection.client(self.bundle.manifest, self.settings.timeout)

    def close(self) -> None:
        """Close the connection to the target, for good. Twice is once; texts in `local` can be written all the same."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _remember(self, ending: Ending) -> Memory:
        """What earlier texts have taught; a file that cannot be used is worth a warning, once."""
        with self._lock:
            if self._memory is None:
                memory = Memory()
                if self._keeps:
                    directory = None if self._keeps is True else self._keeps
                    memory, trouble = Memory.recover(self.bundle.manifest, directory)
                    ending.warnings += map(LossWarning, trouble)
                self._memory = memory
            return self._memory

    def _write(self, job: Job, memory: Memory | None, ending: Ending) -> Generator[Any]:
        """The tokens of a text; lends it what it needs, and takes note of what it taught."""
        manifest, settings, prompt = self.bundle.manifest, job.settings, job.text.sequence[:]
        lesson = session = threshold = chooser = pace = None
        if job.client is None:
            threshold = self._beginning(job).budget(settings.budget).threshold
        else:
            if memory is not None:
                lesson = memory.begin(Promise.of(settings, job.client.description.fingerprint), self._beginning(job))

            def tell(sentence: str) -> None:
                ending.warnings.append(LinkWarning(sentence))
                self._notify(sentence)

            session = job.client.session(
                settings.sampling,
                settings.coupling,
                manifest.end_ids,
                job.text.prompt_length,
                settings.timeout,
                tell,
                prompt,
                job.grammar.source if job.grammar else None,
                settings.on_outage is OnOutage.WAIT,
            )
        feedback = lesson.feedback if lesson else None
        with self.bundle.models.lend(prompt, self._conversations) as models:
            if job.mode is Mode.AUTO and job.client is not None:
                pace = self._measured(job.client, ending)
                chooser = self._chooser(job, feedback, pace)
            generation = Generation(
                job.text,
                settings,
                models,
                session,
                feedback,
                manifest.end_ids,
                foresight(manifest.familiar, settings.sampling),
                threshold,
                job.provisional,
                chooser,
                job.grammar,
            )
            if chooser is not None and pace is not None and session is not None:
                chooser.listen(Readings(pace, generation.drafter, session.meter).read)
            try:
                with closing(generation.write()) as events:
                    yield from events
                ending.warnings += self._hindsight(generation, settings, feedback)
            except KeyboardInterrupt:
                job.text.cancel(FinishReason.INTERRUPTED)
                raise
            except TandemError:
                job.text.cancel(FinishReason.ERROR)
                raise
            finally:
                if generation.summary is not None:
                    counts = generation.summary.audit
                    if memory is not None and lesson is not None:
                        # People give up on texts that go wrong, so those count above all.
                        ending.warnings += map(LossWarning, memory.end(lesson, generation.promised))
                    if chooser is not None and job.client is not None and self._paces is not None:
                        ending.warnings += self._paces.keep(job.client)
                    report = AuditReport(settings.criterion, counts)
                    ending.completion = Completion.of(
                        job.text, job.mode, generation.summary, report, ending.warnings, generation.nll
                    )
                    if chooser is not None:
                        why = explanation(chooser, settings.prefer)
                        ending.completion = replace(ending.completion, explanation=why)

    def _measured(self, client: TargetClient, ending: Ending) -> Pace:
        """What was measured of the target, by earlier texts and in earlier runs."""
        with self._lock:
            if self._paces is None:
                self._paces = Paces()
                if self._keeps:
                    directory = None if self._keeps is True else self._keeps
                    with suppress(InputError):  # no home: `_remember` says so
                        self._paces = Paces.at(self.bundle.manifest, directory)
            pace, trouble = self._paces.of(client)
            ending.warnings += trouble
            return pace

    def _chooser(self, job: Job, feedback: Feedback | None, pace: Pace) -> Chooser:
        """Who decides in `auto`."""
        settings, manifest = job.settings, self.bundle.manifest
        agreement = agreement_of(manifest.doubts, settings.sampling)
        kind = (settings.criterion, settings.budget, settings.temperature, settings.top_p, settings.top_k)
        modes: tuple[Mode, ...] = (Mode.EXACT, Mode.CLOUD)
        asks = 0.0
        if feedback is not None:
            modes, asks = (Mode.SPRINT, *modes), self._asks(job, feedback)
        window, begins = settings.window_of(Mode.SPRINT), job.text.prompt_length
        return Chooser(pace, kind, settings.prefer, modes, begins, window, asks, agreement)

    def _asks(self, job: Job, feedback: Feedback) -> float:
        """The share of tokens that `sprint` is expected to ask about in the long run; a budget's first texts differ."""
        settings, found = job.settings, None
        if job.fits:
            found = asked_of(self.bundle.manifest.calibration, settings.criterion, settings.sampling, settings.budget)
        return self._beginning(job).ask_rate(feedback.budget.threshold) if found is None else found

    def _beginning(self, job: Job) -> Beginning:
        """Where a budget for the text begins."""
        bundle, settings = self.bundle, job.settings
        return Beginning.of(
            bundle.manifest,
            settings.criterion,
            settings.sampling,
            job.fits,
            lambda: drift.unlike(bundle.manifest, bundle.tokenizer, job.text.sequence),
        )

    def _hindsight(self, generation: Generation, settings: Settings, feedback: Feedback | None) -> list[str]:
        """What a finished text suggests."""
        found = []
        assert generation.summary is not None, "a finished text has its figures"
        if feedback is not None:
            drafter = generation.drafter
            entropy = drafter.entropy / max(drafter.steps, 1)
            found += drift.unfamiliar_text(self.bundle.manifest, settings.sampling, drafter.steps, entropy)
        overdrawn = feedback is not None and feedback.budget.overdrawn
        found += repetition_note(generation.summary)
        return found + drift.advice(settings.effective_mode, generation.summary, overdrawn)


def _see_that_it_may_be_asked() -> None:
    if is_local_only():
        sentence = f"{LOCAL_ONLY} is set in the environment: nothing may leave this machine, so no target can be asked"
        raise InputError(sentence, options=("mode local",))
