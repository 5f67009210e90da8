"""The edge: a bundle, a target and the promises that it keeps, composed once. All that writes goes through it."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Self, cast, overload

from edge_client.bundles.bundle import Bundle
from edge_client.bundles.pocket import POCKET
from edge_client.decoding.generation import Generation
from edge_client.decoding.text import Retract, Text, Token
from edge_client.promise import drift
from edge_client.promise.calibration import first_threshold
from edge_client.promise.entries import Promise
from edge_client.promise.feedback import Feedback
from edge_client.promise.memory import Memory
from edge_client.settings import Settings
from edge_client.stream import Completion, Event, Stream
from edge_client.target.client import TargetClient
from edge_client.target.credentials import Credentials
from edge_client.target.retry import Clock, Retry
from edge_client.target.transport import Transport
from edge_client.usage.audit import AuditReport
from shared.chat import Message, render_chat
from shared.config import Mode
from shared.errors import ContextLengthError, InputError, TandemError
from shared.stopping import Stopper
from shared.tokenizer import StreamDecoder, encode_prompt


class Edge:
    """Writes texts on this device, and has a target judge what the draft's verifier doubts; a context manager.

    Several texts may be written at once, from several threads: each has its own cache and its own session, and those
    under the same promise (criterion, budget, sampling, target) teach it together.

    Args:
        target: "host:port" of `cloud-target serve`; None writes alone, in `local`. The connection is made when the
            first text needs it.
        bundle: a directory, or one that is loaded already; by default the one that ships with Tandem.
        credentials: how the target is reached; by default without encryption and token.
        transport: reaches the target in the place of gRPC, as those of `edge_client.testing` do; closed by `close`.
        memory: where the promise is kept between texts: True, in the user's state directory, from run to run; a
            directory, there; False, in this object only.
        threads: of each model.
        retry: how patiently the target is asked.
        clock: time as the waiting sees it.
        options: defaults of all texts, by the names of `Settings`.

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
        **options: Any,
    ) -> None:
        alone = target is None and transport is None
        self.settings = Settings(mode=Mode.LOCAL if alone else Mode.SPRINT).override(**options)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle, threads)
        self._target, self._credentials, self._transport = target, credentials, transport
        self._retry, self._clock = retry, clock
        self._keeps = memory
        self._client: TargetClient | None = None
        self._memory: Memory | None = None
        self._lock = threading.Lock()

    def generate(self, prompt: str | Sequence[int], **options: Any) -> Completion:
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

    def chat(self, messages: Sequence[Message], **options: Any) -> Completion:
        """Write the assistant's next turn, and return the whole.

        Args:
            messages: the turns so far, each with a role (system, user or assistant) and its content.
            options: as for `generate`.

        Raises:
            As `generate` does.
        """
        return self.generate(render_chat(messages), **options)

    @overload
    def stream(
        self, prompt: str | Sequence[int], *, provisional: Literal[False] = False, **options: Any
    ) -> Stream[Token]: ...

    @overload
    def stream(
        self, prompt: str | Sequence[int], *, provisional: Literal[True], **options: Any
    ) -> Stream[Token | Retract]: ...

    def stream(
        self, prompt: str | Sequence[int], *, provisional: bool = False, **options: Any
    ) -> Stream[Token] | Stream[Token | Retract]:
        """Write a text after `prompt`; the tokens come as they are settled.

        Args:
            prompt: text, or token ids.
            provisional: also give drafted tokens that the target has not judged yet, of origin "drafted". Those that it
                confirms are not given again; those that it does not are taken back by a `Retract`.
            options: as for `generate`.

        Raises:
            As `generate` does; while it is iterated over, too.
        """
        settings = self.settings.override(**options)
        ids = encode_prompt(self.bundle.tokenizer, prompt) if isinstance(prompt, str) else list(prompt)
        client = None if settings.effective_mode is Mode.LOCAL else self.connect()
        self.bundle.check_prompt(ids)
        text = self._begin(ids, settings, client)
        warnings: list[str] = []
        if settings.effective_mode is Mode.SPRINT:
            warnings += drift.mismatches(self.bundle.manifest, client.description if client else None)
            warnings += drift.unfamiliar_prompt(self.bundle.manifest, self.bundle.tokenizer, ids)

        def write(stream: Stream[Event]) -> Generator[Event]:
            return self._write(stream, settings, client, provisional)

        return Stream(text, settings.effective_mode, warnings, write)

    def connect(self) -> TargetClient:
        """The connection to the target, made now if there is none yet.

        Raises:
            InputError: there is no target to connect to.
            TargetError: it is not reached, refuses, or has another tokenizer than the bundle.
        """
        with self._lock:
            if self._client is None:
                client = self._open()
                try:
                    client.check(self.bundle.manifest)
                except BaseException:
                    client.close()
                    raise
                self._client = client
            return self._client

    def close(self) -> None:
        """Close the connection to the target; does nothing a second time."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> TargetClient:
        if self._transport is not None:
            return TargetClient(
                self._transport, self._target or type(self._transport).__name__, self._retry, self._clock
            )
        if self._target is None:
            raise InputError(
                "there is no target to ask; start one with `cloud-target serve` and give its address, or write without "
                "one",
                options=("target", "mode local"),
            )
        return TargetClient.connect(self._target, self._retry, self._credentials)

    def _begin(self, ids: list[int], settings: Settings, client: TargetClient | None) -> Text:
        context = self.bundle.manifest.context
        if client is not None:
            context = min(context, client.description.context)
        room = context - len(ids)
        if room < 1:
            raise ContextLengthError(
                f"the prompt has {len(ids)} tokens, and the context holds {context}; shorten the prompt to "
                f"{context - 1} or fewer"
            )
        stopper = Stopper(self.bundle.manifest.end_ids, settings.stop, min(settings.max_tokens, room))
        return Text(ids, StreamDecoder(self.bundle.tokenizer, ids), stopper)

    def _write(
        self, stream: Stream[Event], settings: Settings, client: TargetClient | None, provisional: bool
    ) -> Generator[Event]:
        """The tokens of a stream; lends it what it needs, and takes note of what it taught."""
        manifest, text, mode = self.bundle.manifest, stream.text, stream.mode
        strictest = bool(drift.mismatches(manifest, client.description if client else None))
        threshold = first_threshold(
            manifest.calibration, settings.criterion, settings.sampling, settings.budget, strictest
        )
        promise = feedback = session = None
        if client is not None:
            if mode is Mode.SPRINT:
                promise = Promise.of(settings, client.description.fingerprint)
                feedback = self._remembered(stream).begin(promise, threshold)
            session = client.session(settings.sampling, settings.coupling, manifest.end_ids, text.prompt_length)
        with self.bundle.models.lend() as models:
            generation = Generation(text, settings, models, session, feedback, threshold, provisional)
            try:
                with closing(generation.write()) as events:
                    yield from cast(Generator[Event], events)
                stream.warnings += self._hindsight(generation, settings, feedback)
            finally:
                if generation.summary is not None:
                    counts = generation.summary.audit
                    if promise is not None and feedback is not None:
                        stream.warnings += self._remember(promise, generation, feedback)
                    report = AuditReport(settings.criterion, counts)
                    stream.completion = Completion.of(text, mode, generation.summary, report, stream.warnings)

    def _hindsight(self, generation: Generation, settings: Settings, feedback: Feedback | None) -> list[str]:
        """What a finished text suggests."""
        found = []
        assert generation.summary is not None, "a finished text has its figures"
        if feedback is not None:
            drafter = generation.drafter
            entropy = drafter.entropy / max(drafter.steps, 1)
            found += drift.unfamiliar_text(self.bundle.manifest, settings.sampling, drafter.steps, entropy)
        overspent = feedback is not None and feedback.budget.overspent
        return found + drift.advice(settings.effective_mode, generation.summary, overspent)

    def _remembered(self, stream: Stream[Event]) -> Memory:
        """What earlier texts have taught; a file that cannot be used is worth a warning, once."""
        with self._lock:
            if self._memory is None:
                self._memory = Memory()
                if self._keeps:
                    directory = None if self._keeps is True else Path(self._keeps)
                    self._memory, trouble = Memory.recover(self.bundle.manifest, directory)
                    stream.warnings += trouble
            return self._memory

    def _remember(self, promise: Promise, generation: Generation, feedback: Feedback) -> list[str]:
        """Keep what a text has taught. People give up on texts that go wrong, so those count above all."""
        assert generation.summary is not None, "a text that ended has its figures"
        assert self._memory is not None, "the feedback came from it"
        try:
            self._memory.end(promise, generation.summary.audit, feedback)
        except (OSError, TandemError) as error:  # the text is on the screen: nothing else is lost
            return [
                f"what this text's audits taught could not be kept: {_reason(error)}; give the memory another "
                "directory (TANDEM_STATE), or write without memory"
            ]
        return []


def _reason(error: OSError | TandemError) -> str:
    """What went wrong and where, without Python's number for it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror.lower()}, {error.filename}" if error.filename else error.strerror.lower()
    return str(error)
