"""How a text is to be written: every option with its default, in one place."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import partial
from typing import Any, Self, TypedDict, Unpack

from shared import values
from shared.config import Coupling, Criterion, Mode, Sampling
from shared.domains import AUTO
from shared.errors import InputError

# Accepted tokens in a row after which they are audited.
SPRINT_WINDOW = 32
# Tokens that `exact` guesses ahead: while the target writes, and with the residual coupling, where it waits for them.
EXACT_WINDOW = 64
RESIDUAL_WINDOW = 8
LARGEST_WINDOW = 256
# Of a finished text so many tokens have to agree to be worth keeping: what is shorter is read again at once, and most
# prompts of one kind begin alike anyway.
SHORTEST_KEPT = 16
# Options of which one says what a text keeps to.
GRAMMARS = ("json_schema", "regex", "lark")
# In the environment: this machine writes alone, whatever anybody asks for.
LOCAL_ONLY = "TANDEM_LOCAL_ONLY"


def is_local_only() -> bool:
    """Whether nothing may leave this machine."""
    return os.environ.get(LOCAL_ONLY, "") not in ("", "0")


def see_that_a_target_may_be_asked() -> None:
    """Refuse where nothing may leave this machine.

    Raises:
        InputError: it may not.
    """
    if is_local_only():
        sentence = f"{LOCAL_ONLY} is set in the environment: nothing may leave this machine, so no target can be asked"
        raise InputError(sentence, options=("mode local",))


class Prefer(StrEnum):
    """What mode `auto` makes least of."""

    SPEED = "speed"
    COST = "cost"
    ENERGY = "energy"


class OnOutage(StrEnum):
    """What becomes of a text whose target is away."""

    LOCAL = "local"
    WAIT = "wait"
    FAIL = "fail"


class Options(TypedDict, total=False):
    """The options of a text as they may be given by keyword: those of `Settings`, enums as plain strings too."""

    mode: Mode | str
    prefer: Prefer | str
    budget: float
    criterion: Criterion | str
    strict_structure: bool
    coupling: Coupling | str
    temperature: float
    top_k: int
    top_p: float
    seed: int
    max_tokens: int | None
    stop: str | Sequence[str]
    json_schema: Mapping[str, Any] | str | None
    regex: str | None
    lark: str | None
    window: int | None
    audit: bool
    learn: bool
    timeout: float | None
    on_outage: OnOutage | str
    domain: str
    adapter: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one text is to be written. Enums may be given as plain strings, a single stop string as it is.

    Attributes:
        mode: who leads, and when the target is called; `auto` decides between `sprint`, `exact` and `cloud` itself.
        prefer: in `auto`, what is to be least: the time until a token is shown (speed), the target's work (cost), or
            the work of both sides together (energy).
        budget: largest divergence rate in `sprint`, 0 to 1; 0 means `exact`.
        criterion: what the budget counts as an error.
        strict_structure: with the criterion `typical`, in a text that keeps to a schema or grammar: count by `strict`
            wherever that leaves less than a quarter of all tokens to choose from (keys, numbers, listed words), and by
            `typical` in the prose within strings.
        coupling: how the draft's and the target's draws hang together.
        temperature, top_k, top_p, seed: how a token is drawn; see `shared.config.Sampling`.
        max_tokens: most tokens to write; None for as many as fit.
        stop: strings that end the text; they are not shown.
        json_schema: a JSON schema that the text keeps to, an object or its text; ``{"type": "object"}`` is any object.
        regex: an expression (of Rust's regex crate) that the text matches as a whole.
        lark: a grammar that the text keeps to, in llguidance's dialect of Lark. Of these three one may be given.
        window: in `sprint`, accepted tokens in a row after which they are audited; in `exact`, tokens that are guessed
            ahead; None for the mode's own.
        audit: have the tail after the last call audited as well.
        learn: let the audits teach the verifier too, in `sprint`.
        timeout: longest time without any answer from the target, seconds, over all attempts; None for 3 where it was
            never reached, and for that of `Retry` in the middle of a text; a week at most.
        on_outage: what becomes of the text where the link breaks and is not mended within a second: it goes on from the
            draft alone until the target answers again (local), it waits as long as `timeout` says (wait), or it ends
            with an error (fail). What `exact` and `cloud` guess alone is provisional; it stands only where the target
            is away for longer than `timeout`.
        domain: which of the bundle's verifiers doubts: general, or one by the name of its domain; auto for the one that
            the audits bear out.
        adapter: the name of that one of the target's adapters which it is to write and judge with; "" for none. What is
            learned with it is kept apart. Nothing hangs on it where no target is asked.

    Raises:
        InputError: a value out of range.
    """

    mode: Mode = Mode.SPRINT
    prefer: Prefer = Prefer.SPEED
    budget: float = 0.01
    criterion: Criterion = Criterion.TYPICAL
    strict_structure: bool = False
    coupling: Coupling = Coupling.GUMBEL
    temperature: float = Sampling.temperature
    top_k: int = Sampling.top_k
    top_p: float = Sampling.top_p
    seed: int = Sampling.seed
    max_tokens: int | None = 128
    stop: Sequence[str] = ()
    json_schema: Mapping[str, Any] | str | None = None
    regex: str | None = None
    lark: str | None = None
    window: int | None = None
    audit: bool = True
    learn: bool = False
    timeout: float | None = None
    on_outage: OnOutage = OnOutage.LOCAL
    domain: str = AUTO
    adapter: str = ""

    def __post_init__(self) -> None:
        for name, convert in _CONVERSIONS.items():
            object.__setattr__(self, name, convert(name, getattr(self, name)))
        if not 0 <= self.budget <= 1:
            sentence = f"budget must be a share of the tokens shown, between 0 and 1, not {self.budget}"
            raise InputError(sentence, options=("budget",))
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InputError(f"max_tokens must be 1 or more, not {self.max_tokens}", options=("max_tokens",))
        if self.window is not None and not 1 <= self.window <= LARGEST_WINDOW:
            sentence = f"window must be between 1 and {LARGEST_WINDOW} tokens, not {self.window}"
            raise InputError(sentence, options=("window",))
        if self.timeout == 0:
            raise InputError("timeout must be above 0 seconds, not 0", options=("timeout",))
        if self.mode is Mode.AUTO and self.coupling is Coupling.RESIDUAL:
            sentence = "mode auto goes from mode to mode, which needs the coupling gumbel"
            raise InputError(sentence, options=("coupling",))
        if "" in self.stop:
            raise InputError("a stop string must not be empty; give the text to stop at", options=("stop",))
        if sum(getattr(self, name) is not None for name in GRAMMARS) > 1:
            sentence = "a text keeps to one grammar: give json_schema, regex or lark, and leave the others out"
            raise InputError(sentence, options=GRAMMARS)
        _ = self.sampling  # which checks its own values

    @property
    def sampling(self) -> Sampling:
        """Temperature, truncation and seed, as both sides need them."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.seed)

    @property
    def grammar(self) -> str | None:
        """What the text must keep to, as it travels; None where that is nothing.

        Raises:
            InputError: it is too long to travel.
        """
        from shared.grammar.source import of_lark, of_regex, of_schema  # `--help` needs neither it nor json

        if self.json_schema is not None:
            return of_schema(str(self.json_schema))
        if self.regex is not None:
            return of_regex(self.regex)
        return None if self.lark is None else of_lark(self.lark)

    @property
    def counts_structure_strictly(self) -> bool:
        """Whether tokens are off-target by another criterion where a grammar leaves little choice."""
        is_kept = any(getattr(self, name) is not None for name in GRAMMARS)
        return self.strict_structure and is_kept and self.criterion is Criterion.TYPICAL

    @property
    def effective_mode(self) -> Mode:
        """A budget of 0 leaves nothing to the verifier: it is `exact`."""
        return Mode.EXACT if self.mode is Mode.SPRINT and self.budget == 0 else self.mode

    @property
    def needs_target(self) -> bool:
        """Whether the effective mode ever asks a target."""
        return self.effective_mode is not Mode.LOCAL

    @property
    def effective_window(self) -> int:
        """The window of the effective mode; in `auto`, that of `sprint`."""
        return self.window_of(self.effective_mode)

    def window_of(self, mode: Mode) -> int:
        """The window of a mode."""
        if mode is not Mode.EXACT:
            return self.window or SPRINT_WINDOW
        return self.window or (RESIDUAL_WINDOW if self.coupling is Coupling.RESIDUAL else EXACT_WINDOW)

    @property
    def steers(self) -> bool:
        """Whether the device may show tokens that the target did not write, within a budget."""
        return self.effective_mode in (Mode.SPRINT, Mode.AUTO) and self.budget > 0

    @property
    def begins_alone(self) -> bool:
        """Whether the text is written without its target where that is away from the beginning."""
        return self.on_outage is OnOutage.LOCAL and self.steers

    def override(self, **options: Unpack[Options]) -> Self:
        """These settings, but for what `options` say.

        Raises:
            InputError: an unknown option, or a value out of range.
        """
        given: dict[str, Any] = dict(options)
        unknown = given.keys() - {field.name for field in fields(self)}
        if unknown:
            known = ", ".join(field.name for field in fields(self))
            raise InputError(f"there is no option {min(unknown)!r}; the options are {known}")
        if not given.keys().isdisjoint(GRAMMARS):  # whichever a text has, it takes the place of the one before
            given = dict.fromkeys(GRAMMARS) | given
        return replace(self, **given)


def _schema(value: object) -> str:
    from shared.grammar.source import canonical_schema

    return canonical_schema(value)


# What each option is made of; what is none is refused before anything is written.
_CONVERSIONS: dict[str, Callable[[str, Any], object]] = {
    "mode": partial(values.choice, Mode),
    "prefer": partial(values.choice, Prefer),
    "budget": values.number,
    "criterion": partial(values.choice, Criterion),
    "strict_structure": values.switch,
    "coupling": partial(values.choice, Coupling),
    "temperature": values.number,
    "top_k": values.whole,
    "top_p": values.number,
    "seed": values.whole,
    "max_tokens": lambda name, value: None if value is None else values.whole(name, value),
    "stop": values.strings,
    "json_schema": lambda name, value: None if value is None else _schema(value),
    "regex": lambda name, value: None if value is None else values.string(name, value),
    "lark": lambda name, value: None if value is None else values.string(name, value),
    "window": lambda name, value: None if value is None else values.whole(name, value),
    "audit": values.switch,
    "learn": values.switch,
    "timeout": lambda name, value: None if value is None else values.seconds(name, value),
    "on_outage": partial(values.choice, OnOutage),
    "domain": values.string,
    "adapter": values.string,
}
