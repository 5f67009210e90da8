"""The edge: a bundle, a target and the promises that it keeps, composed once. All that writes goes through it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, Unpack, overload
from weakref import WeakMethod

from edge_client.auto.explain import explanation
from edge_client.auto.readings import Readings
from edge_client.bundles.bundle import Bundle
from edge_client.bundles.fetching import Progress
from edge_client.bundles.following import Following
from edge_client.bundles.kit import Kit
from edge_client.bundles.source import Given, Source
from edge_client.decoding.generation import Generation
from edge_client.decoding.text import Event, Token
from edge_client.job import Job, begun
from edge_client.promise.beginning import foresight
from edge_client.promise.memory import Memory
from edge_client.promise.promises import Promise
from edge_client.settings import OnOutage, Options, Settings, is_local_only, see_that_a_target_may_be_asked
from edge_client.stream import Completion, CostWarning, Ending, LinkWarning, LossWarning, Stream
from edge_client.target.client import TargetClient
from edge_client.target.connection import Connection
from edge_client.target.credentials import Credentials
from edge_client.target.outage import tell_nobody
from edge_client.target.retry import Clock, Retry
from edge_client.target.switch import Switch
from edge_client.target.transport import Transport
from edge_client.usage.audit_counts import AuditReport
from edge_client.usage.caps import Caps
from edge_client.usage.prices import Prices
from edge_client.usage.spending import Spending
from shared import values
from shared.chat.template import Message
from shared.config import Mode
from shared.errors import CapReached, InputError, TandemError, TargetAway, TargetError, TargetUnavailable
from shared.grammar import library
from shared.stopping import FinishReason

# Text, token ids, or what makes them with the bundle that the text is written with.
Prompt = str | Iterable[int] | Callable[[Bundle], list[int]]


class Edge:
    """Writes texts on this device, and has a target judge what the draft's verifier doubts; a context manager.

    Several texts may be written at once, from several threads: each has its own cache and its own session, and those
    under the same promise (criterion, budget, coupling, target) teach it together.

    Args:
        target: "host:port" of `cloud-target serve`; None writes alone, in `local`. The connection is made when the
            first text needs it.
        bundle: a directory, or one that is loaded already; by default the one that the target offers, fetched, kept,
            and changed with the target, or back where the new one is worse; or else the one that ships with Tandem.
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
        prices, caps: what the target's work costs, and the most that may be spent in a day; None for those of the
            environment (`TANDEM_PRICE_IN`, `TANDEM_CAP_MONEY`, ...).
        ledger: where what was spent is kept: True, in the user's state directory; a directory, there; False, in this
            object only; None, where `memory` says, but where there is a cap never in this object only.
        notify: is told at once, in a sentence, when the target does not answer for more than a moment, when it answers
            again, how far it has read a long prompt, or that it has another bundle now; by the thread that waits for
            it, and while a bundle is fetched beside texts also by another one.
        progress: is told, again and again, what is there of a bundle that is waited for: its contents, and bytes.
        options: defaults of all texts, by the names of `Settings`; the mode is `local` where there is no target, or the
            environment has `TANDEM_LOCAL_ONLY`.

    Attributes:
        settings: the defaults of all texts.

    Raises:
        InputError: an unknown option, or a value out of range.
        BundleError: a bundle that is missing, damaged, or of another model.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        bundle: str | Path | Bundle | None = None,
        credentials: Credentials | None = None,
        transport: Transport | None = None,
        memory: bool | str | Path = True,
        threads: int = 1,
        retry: Retry | None = None,
        clock: Clock | None = None,
        notify: Callable[[str], None] | None = None,
        conversations: int = 0,
        progress: Progress | None = None,
        prices: Prices | None = None,
        caps: Caps | None = None,
        ledger: bool | str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        alone = is_local_only() or (target is None and transport is None)
        self.settings = Settings(mode=Mode.LOCAL if alone else Mode.SPRINT).override(**options)
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
        if bundle is None and not (target is None and transport is None):
            tell = progress or (lambda *_: None)
            self._source: Source = Following(self._connection, target, threads, self._notify, tell, self._keeps, clock)
        else:
            self._source = Given(bundle, threads)
        self._kit: Kit | None = None
        self._spending = Spending(prices, caps, ledger, self._keeps)
        self._lock = threading.RLock()

    @property
    def switch(self) -> Switch:
        """Cuts the link to the target on purpose, for all texts, to see what they do while it is away."""
        return self._connection.switch

    @property
    def bundle(self) -> Bundle:
        """The models that texts are written with now.

        Where they come with the target it is asked for them, if it was not yet; while it is not reached, they are those
        that were last used with it, or the embedded ones.

        Raises:
            As `generate`.
        """
        if self._kit is None:
            with suppress(TargetUnavailable):
                return self._equip(self.settings, self.settings.needs_target).bundle
            return self._equip(self.settings, False).bundle
        return self._kit.bundle

    def generate(self, prompt: Prompt, **options: Unpack[Options]) -> Completion:
        """Write a text after `prompt`, and return the whole.

        Args:
            prompt: text, token ids, or what makes them with the bundle that the text is written with.
            options: for this text, by the names of `Settings`.

        Raises:
            InputError: no prompt, an unknown option, or a value out of range.
            ContextLengthError: a prompt that leaves no room for a token.
            TargetError: the target is not reached, refuses, has another tokenizer, or is another one by now.
            BundleError: the bundle that comes with the target cannot be kept or used.
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
        return self.generate(lambda bundle: bundle.encode_chat(messages), **options)

    @overload
    def stream(
        self, prompt: Prompt, *, provisional: Literal[False] = False, **options: Unpack[Options]
    ) -> Stream[Token]: ...

    @overload
    def stream(self, prompt: Prompt, *, provisional: Literal[True], **options: Unpack[Options]) -> Stream[Event]: ...

    @overload
    def stream(self, prompt: Prompt, *, provisional: bool, **options: Unpack[Options]) -> Stream[Event]: ...

    def stream(self, prompt: Prompt, *, provisional: bool = False, **options: Unpack[Options]) -> Stream[Event]:
        """Write a text after `prompt`; the tokens come as they are settled.

        Args:
            prompt: as for `generate`.
            provisional: tell also of drafted tokens that the target has not judged yet, as `Provisional`. Each `Token`
                that comes then takes the place of the first of them, if there are any; those that the text does not
                go on with are taken back by a `Retract` before. What is provisional where a stream is closed, or ends
                by an exception, is no part of the text.
            options: as for `generate`.

        Raises:
            As `generate` does; while it is iterated over, too.
        """
        settings = self.settings.override(**options)
        kit, ids, client, alone = self._meet(settings, prompt)
        bundle = kit.bundle
        grammar = bundle.compile(settings)
        if grammar is not None and client is not None:
            client.description.check_grammars(library.version(), client.address)
        text = begun(bundle, ids, settings, client)
        job = Job(text, settings, client, kit, bundle.verifiers(settings.domain), provisional, grammar)
        ending = Ending(job.not_as_asked())
        if alone is not None:
            ending.warnings.append(alone)
            if isinstance(alone, LinkWarning):
                self._notify(alone)
        memory = None
        if settings.steers:
            memory, trouble = kit.memory()
            ending.warnings += map(LossWarning, trouble)
            ending.warnings += job.misgivings()
        return Stream(job.text, job.mode, ending, self._write(job, memory, ending))

    def _meet(
        self, settings: Settings, prompt: Prompt
    ) -> tuple[Kit, list[int], TargetClient | None, LinkWarning | CostWarning | None]:
        """What a text is written with: models, the prompt's ids, the target, and why it is written without one.

        Raises:
            As `generate` does.
        """
        asks, client, alone = settings.needs_target, None, None
        is_ids = not isinstance(prompt, str) and not callable(prompt)
        try:
            kit = self._equip(settings, asks, is_ids)
        except TargetAway as away:
            alone = _alone(away, settings)
            kit = self._equip(settings, False, is_ids)
        ids = kit.bundle.encode(prompt(kit.bundle) if callable(prompt) else prompt)
        if asks and alone is None:
            try:
                self._spending.check(1 if self._conversations else len(ids))
                client = self._connection.client(kit.bundle.manifest, settings.timeout, not settings.begins_alone)
            except TargetAway as away:
                alone = _alone(away, settings)
        return kit, ids, client and client.adapted(settings.adapter), alone

    def connect(self) -> TargetClient:
        """The connection to the target, made now if there is none yet: for programs that ask it something themselves.

        It belongs to this edge, which closes it.

        Raises:
            InputError: there is no target to connect to, or this edge was closed.
            TargetError: it is not reached, refuses, or has another tokenizer than the bundle.
        """
        see_that_a_target_may_be_asked()
        return self._connection.client(self.bundle.manifest, self.settings.timeout)

    def close(self) -> None:
        """Close the connection to the target, for good. Twice is once; texts in `local` can be written all the same."""
        self._source.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _equip(self, settings: Settings, asks: bool, is_ids: bool = False) -> Kit:
        """What a text is written with; another bundle than the last one's begins with what was learned with that one.

        Args:
            asks: the target is asked, first of all for its bundle.
            is_ids: the prompt is token ids already, by the last bundle's tokenizer.
        """
        if asks:
            see_that_a_target_may_be_asked()
        source = self._source
        bundle = source.asking(settings.timeout, not settings.begins_alone) if asks else source.alone()
        with self._lock:
            last = self._kit
            if last is None or last.bundle is not bundle:
                self._kit = Kit(bundle, self._keeps)
            kit = self._kit
        assert kit is not None, "it was made"
        if is_ids and last and last.bundle.manifest.tokenizer_fingerprint != bundle.manifest.tokenizer_fingerprint:
            raise InputError(
                f"the target has another tokenizer than before, and with it came the bundle {bundle.manifest.name}; "
                "encode the prompt again"
            )
        return kit

    def _write(self, job: Job, memory: Memory | None, ending: Ending) -> Generator[Any]:
        """The tokens of a text; lends it what it needs, and takes note of what it taught."""
        bundle, settings, prompt = job.kit.bundle, job.settings, job.text.sequence[:]
        manifest = bundle.manifest
        lesson = session = threshold = chooser = pace = account = None
        if job.client is not None:
            if memory is not None:
                beginnings = {name: job.beginning(name) for name in job.verifiers}
                lesson = memory.begin(Promise.of(settings, job.client.description.fingerprint), beginnings)

            def tell(sentence: str) -> None:
                ending.told(sentence, account is not None and account.is_refused)
                self._notify(sentence)

            account = self._spending.account(job.client.address, job.client.description)
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
                account,
                lambda: not job.text.finished,
            )
        with bundle.models.lend(prompt, self._conversations) as models:
            cast = job.cast(models, lesson)
            if job.client is None:
                threshold = job.beginning(cast.verifier).budget(settings.budget).threshold
            if job.mode is Mode.AUTO and job.client is not None:
                pace, trouble = job.kit.pace(job.client)
                ending.warnings += trouble
                chooser = job.chooser(cast, pace)
            generation = Generation(
                job.text,
                settings,
                cast.models,
                session,
                cast.feedback,
                manifest.end_ids,
                foresight(job.seen_by(cast.verifier).familiar, settings.sampling),
                threshold,
                job.provisional,
                chooser,
                job.grammar,
            )
            ending.so_far = WeakMethod(generation.so_far)
            if chooser is not None and pace is not None and session is not None:
                chooser.listen(Readings(pace, generation.drafter, session.meter).read)
            try:
                with closing(generation.write()) as events:
                    yield from events
                ending.warnings += job.hindsight(generation, cast)
            except KeyboardInterrupt:
                job.text.cancel(FinishReason.INTERRUPTED)
                raise
            except TandemError as error:
                job.text.cancel(FinishReason.ERROR)
                if isinstance(error, TargetError):
                    self._source.doubt()
                raise
            finally:
                if generation.summary is not None:
                    by = "" if session is None else session.author.fingerprint
                    if memory is not None and lesson is not None:
                        # People give up on texts that go wrong, so those count above all.
                        ending.warnings += map(LossWarning, memory.end(lesson.about(by), generation.promised))
                    if job.client is not None:
                        self._source.wrote(bundle, job.client, by, settings, generation.promised)
                    if pace is not None:
                        ending.warnings += job.kit.keep_pace(pace)
                    if generation.summary.reconnects or generation.summary.alone:
                        self._source.doubt()
                    cost = None
                    if account is not None:
                        cost = account.settle(generation.summary, job.text.prompt_length)
                        ending.warnings += map(CostWarning, account.trouble())
                    decided = cast.decided(generation.drafter.steps)
                    ending.completion = Completion.of(
                        job.text,
                        job.mode,
                        settings.seed,
                        generation.summary,
                        AuditReport(settings.criterion, generation.summary.audit),
                        ending.warnings,
                        generation.nll,
                        cost,
                        decided,
                    )
                    if chooser is not None:
                        why = explanation(chooser, settings.prefer, ending.completion.verifiers)
                        ending.completion = replace(ending.completion, explanation=why)


def _alone(away: TargetAway, settings: Settings) -> LinkWarning | CostWarning:
    """What to tell the reader of a text that is written without its target; else raises why that is away."""
    is_capped = isinstance(away, CapReached)
    if not (settings.begins_alone or (is_capped and settings.on_outage is OnOutage.LOCAL)):
        raise away
    sentence = f"{away.clause}: the draft writes this text alone"
    return CostWarning(f"{sentence}; {away.advice}") if isinstance(away, CapReached) else LinkWarning(sentence)
