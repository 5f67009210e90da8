"""The device: a loaded bundle that writes texts, alone or with a target's help."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from edge_client.bundles.pocket import POCKET
from edge_client.decoding.decoder import decode
from edge_client.decoding.drafter import Drafter
from edge_client.decoding.policy import Cloud, Exact, Local, Policy, Sprint
from edge_client.decoding.record import Record, Summary, Times
from edge_client.decoding.text import Shown, Text
from edge_client.inference.draft import load_draft
from edge_client.inference.verifier import Verifier
from edge_client.promise import drift
from edge_client.promise.budget import Budget
from edge_client.promise.calibration import first_threshold
from edge_client.promise.learning import Learner
from edge_client.target.client import TargetClient, TargetSession
from shared.bundle import DOUBT_COLUMNS, Manifest, read_manifest
from shared.config import Coupling, Criterion, Mode, Sampling
from shared.errors import ContextLengthError, InputError
from shared.sampling import Sampler
from shared.stopping import Stopper
from shared.tokenizer import StreamDecoder, load_tokenizer

# The tail audit is worth this much patience, in seconds, once the text is on the screen.
TAIL_WAIT = 2.0


@dataclass(frozen=True)
class Settings:
    """How one text is to be written.

    Attributes:
        mode: who leads, and when the target is called.
        budget: largest divergence rate in `sprint`, 0 to 1; 0 means `exact`.
        criterion: what the budget counts as an error.
        coupling: how the draft's and the target's draws hang together.
        sampling: temperature, truncation and seed.
        max_tokens: most tokens to write.
        stops: strings that end the text; they are not shown.
        window: most tokens between two calls: accepted ones in `sprint`, guesses in `exact`.
            None: 32 and 8.
        audit: have the tail after the last call audited as well.

    Raises:
        InputError: a value out of range.
    """

    mode: Mode = Mode.SPRINT
    budget: float = 0.005
    criterion: Criterion = Criterion.TYPICAL
    coupling: Coupling = Coupling.GUMBEL
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int = 128
    stops: tuple[str, ...] = ()
    window: int | None = None
    audit: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.budget <= 1:
            raise InputError(f"the budget is a share of the tokens, between 0 and 1, not {self.budget}")
        if self.max_tokens < 1:
            raise InputError(f"max-tokens must be 1 or more, not {self.max_tokens}")
        if self.window is not None and not 1 <= self.window <= 256:
            raise InputError(f"the window must be between 1 and 256 tokens, not {self.window}")
        if "" in self.stops:
            raise InputError("a stop string must not be empty")

    @property
    def effective_mode(self) -> Mode:
        """A budget of 0 leaves nothing to the verifier: it is `exact`."""
        return Mode.EXACT if self.mode is Mode.SPRINT and self.budget == 0 else self.mode


class Generation:
    """One text being written: iterate over it to get the tokens.

    Attributes:
        text, mode: what is written, and how.
        summary: the figures of the run, of one that was given up too; None before its end.
        warnings: why the calibration may not hold here, and what to do about it; complete at the end.

    Whoever stops before the end closes it, or uses it as a context manager, so that the target forgets the session.
    """

    def __init__(self, text: Text, mode: Mode) -> None:
        self.text = text
        self.mode = mode
        self.summary: Summary | None = None
        self.warnings: list[str] = []
        self._tokens: Iterator[Shown] = iter(())

    def __iter__(self) -> Iterator[Shown]:
        return self._tokens

    def close(self) -> None:
        """Write no more. Twice is once, and after the end it does nothing."""
        if isinstance(self._tokens, Generator):
            self._tokens.close()

    def __enter__(self) -> Generation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Device:
    """A draft, a verifier and a tokenizer, ready to write. One text at a time."""

    def __init__(self, manifest: Manifest, tokenizer, draft, verifier) -> None:
        self.manifest = manifest
        self.tokenizer = tokenizer
        self.draft = draft
        self.verifier = verifier
        self._current: Generation | None = None

    @classmethod
    def load(cls, bundle: str | Path = POCKET, threads: int = 1) -> Device:
        """Load a bundle and check that it is what its manifest says.

        Raises:
            BundleError: missing, damaged, or giving other logits than it should.
        """
        bundle = Path(bundle)
        manifest = read_manifest(bundle)
        return cls(
            manifest,
            load_tokenizer(bundle / "tokenizer.json"),
            load_draft(bundle, manifest, threads),
            Verifier.load(bundle, manifest.draft.hidden, threads),
        )

    def budget(self, settings: Settings, client: TargetClient | None = None) -> Budget:
        """A budget that begins where the calibration says; strictly, if that was measured with other models."""
        return Budget(settings.budget, self.first_threshold(settings, client))

    def first_threshold(self, settings: Settings, client: TargetClient | None = None) -> float:
        """Where a budget begins that knows nothing yet."""
        strictest = bool(drift.mismatches(self.manifest, client.description if client else None))
        return first_threshold(
            self.manifest.calibration, settings.criterion, settings.sampling, settings.budget, strictest
        )

    def generate(
        self,
        prompt_ids: list[int],
        settings: Settings,
        client: TargetClient | None = None,
        budget: Budget | None = None,
        learner: Learner | None = None,
    ) -> Generation:
        """Write a text after `prompt_ids`.

        Args:
            client: the target; may be None in `local` only.
            budget: goes on from earlier texts, and learns from this one; a new one if None.
            learner: corrects the verifier in `sprint`, and learns from this text; None for the verifier as it is.

        Raises:
            InputError: an empty prompt, or ids outside the vocabulary.
            ContextLengthError: a prompt that leaves no room for a token.
            TargetMismatch: the target has another tokenizer than the bundle.
        """
        mode = settings.effective_mode
        if client is None and mode is not Mode.LOCAL:
            raise InputError(f"mode {mode} needs a target; start one with `cloud-target serve`, or use --mode local")
        if client is not None:
            client.check(self.manifest)
        self._check_prompt(prompt_ids)
        context = self.manifest.context if client is None else min(self.manifest.context, client.description.context)
        room = context - len(prompt_ids)
        if room < 1:
            raise ContextLengthError(
                f"the prompt has {len(prompt_ids)} tokens and the context {context}; "
                f"shorten it to {context - 1} or fewer"
            )
        stopper = Stopper(self.manifest.end_ids, settings.stops, min(settings.max_tokens, room))
        generation = Generation(Text(prompt_ids, StreamDecoder(self.tokenizer, prompt_ids), stopper), mode)
        if mode is Mode.SPRINT:
            generation.warnings += drift.mismatches(self.manifest, client.description)
            generation.warnings += drift.unfamiliar_prompt(self.manifest, self.tokenizer, prompt_ids)
        budget = budget or self.budget(settings, client)
        generation._tokens = self._write(generation, settings, client, budget, learner)
        return generation

    def _write(
        self,
        generation: Generation,
        settings: Settings,
        client: TargetClient | None,
        budget: Budget,
        learner: Learner | None,
    ) -> Iterator[Shown]:
        begin = perf_counter()
        text, mode = generation.text, generation.mode
        self._current = generation
        policy = self._policy(mode, settings, budget)
        self.draft.rewind(0)
        verifier = self.verifier if policy.uses_verifier else None
        if learner is not None:
            learner.begin()
        steers = mode is Mode.SPRINT
        column = DOUBT_COLUMNS.index(settings.criterion)
        drafter = Drafter(self.draft, Sampler(settings.sampling), verifier, column, learner if steers else None)
        record = Record(settings.criterion, budget if steers else None, learner if steers else None)
        session = self._session(settings, client, text.prompt_length) if mode is not Mode.LOCAL else None
        first_ms, times = 0.0, None
        try:
            for shown in decode(text, drafter, policy, session, record, settings.coupling is Coupling.RESIDUAL):
                first_ms = first_ms or 1e3 * (perf_counter() - begin)
                yield shown
                if self._current is not generation:
                    raise InputError("this device has begun another text; it writes one at a time")
            times = Times.of(1e3 * (perf_counter() - begin), first_ms, drafter, session)
            if steers and settings.audit:
                tail = session.audit(text.sequence, TAIL_WAIT)
                if tail is not None:
                    record.audited(tail)
        finally:
            if session is not None:
                session.close()
            # A text that was given up has taught something, too.
            record.finish()
            times = times or Times.of(1e3 * (perf_counter() - begin), first_ms, drafter, session)
            doubted = policy.doubted if isinstance(policy, Local) else None
            generation.summary = record.summary(text, times, session, doubted)
        if steers:
            generation.warnings += drift.unfamiliar_text(
                self.manifest, settings.sampling, drafter.steps, drafter.entropy / max(drafter.steps, 1)
            )
        generation.warnings += drift.advice(mode, generation.summary, steers and budget.overspent)

    def _policy(self, mode: Mode, settings: Settings, budget: Budget) -> Policy:
        match mode:
            case Mode.CLOUD:
                return Cloud()
            case Mode.EXACT:
                return Exact(settings.window or 8)
            case Mode.LOCAL:
                return Local(budget.threshold)
        return Sprint(budget, settings.window or 32)

    def _session(self, settings: Settings, client: TargetClient, prompt_length: int) -> TargetSession:
        return client.session(settings.sampling, settings.coupling, self.manifest.end_ids, prompt_length)

    def _check_prompt(self, ids: list[int]) -> None:
        if not ids:
            raise InputError("the prompt is empty; give some text to go on from")
        for token in ids:
            if not 0 <= token < self.manifest.vocabulary:
                raise InputError(f"token id {token} is not in the vocabulary of {self.manifest.vocabulary}")
