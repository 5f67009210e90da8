"""What a request asks for, in Tandem's words, whichever path of the API it came by."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Self, cast

from edge_client.bundles.bundle import Bundle
from edge_client.server.errors import ApiError
from edge_client.server.fields import Fields, within
from edge_client.server.structure import Structure
from edge_client.settings import OnOutage, Options, Prefer
from shared import values
from shared.config import Coupling, Criterion, Mode
from shared.errors import InputError

MOST_CHOICES = 16
MOST_STOPS = 16
_PLAIN = Structure()
# What the fields of `tandem` may say of a text; the others of `Settings` have fields of OpenAI's own.
_TANDEM: dict[str, Callable[[str, Any], object]] = {
    "budget": values.number,
    "criterion": partial(values.choice, Criterion),
    "strict_structure": values.switch,
    "coupling": partial(values.choice, Coupling),
    "prefer": partial(values.choice, Prefer),
    "window": values.whole,
    "top_k": values.whole,
    "audit": values.switch,
    "timeout": values.seconds,
    "on_outage": partial(values.choice, OnOutage),
    "domain": values.string,
    "adapter": values.string,
}

# Makes the ids of a prompt; whoever writes calls it, for that may take a while, or fail.
Prompt = Callable[[Bundle], list[int]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request.

    Attributes:
        model: by the name that the client gave.
        prompts: one text each, `choices` times.
        options: of every text, but for its seed.
        seed: of the first choice; the next ones have the next seeds.
        stream, with_usage: whether tokens come as they are settled, and the figures behind them.
        logprobs: tell how likely each token is to the target.
        origins: tell who wrote each token, and what the target thinks of it.
        events: in a stream, also tell of each token by itself, and of drafted ones that nobody has judged yet.
        structure: what the answer must keep to.
        must_be_exact: nothing will do but the target's own text.
    """

    model: str
    prompts: list[Prompt]
    options: Options
    seed: int
    choices: int = 1
    stream: bool = False
    with_usage: bool = False
    logprobs: bool = False
    origins: bool = False
    events: bool = False
    structure: Structure = _PLAIN
    must_be_exact: bool = False

    def settled(self, bundle: Bundle) -> Self:
        """The same, for texts of a bundle; what it writes keeps to what was asked for.

        Raises:
            InputError: no answer of this bundle can.
        """
        structure = self.structure.settled(bundle)
        return replace(self, structure=structure, options=self.options | structure.options)


def take_common(fields: Fields) -> dict[str, Any]:
    """What all kinds of request have in common, by the names of `Asked`.

    Raises:
        ApiError: it cannot be understood, or not be done.
    """
    model = fields.take("model", values.string)
    if model is None:
        raise ApiError(400, "`model` is missing; /v1/models lists what may be given", param="model")
    options: dict[str, Any] = {
        "temperature": fields.take("temperature", values.number),
        "top_p": fields.take("top_p", values.number),
        "top_k": fields.take("top_k", values.whole),
        "stop": fields.take("stop", _stops),
    }
    seed = fields.take("seed", values.whole)
    stream = fields.flag("stream")
    fields.drop("user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key")
    tandem = fields.inside("tandem")
    options["mode"] = tandem.take("mode", partial(values.choice, Mode))
    must_be_exact = tandem.take("require", _exact) is not None
    options |= {name: value for name, kind in _TANDEM.items() if (value := tandem.take(name, kind)) is not None}
    if must_be_exact:
        options |= _unyielding(options.get("on_outage"), options.get("coupling"))
    origins, events = tandem.flag("origins"), tandem.flag("events")
    if events and not stream:
        raise ApiError(400, "`tandem.events` come in a stream only: give `stream`, too", param="tandem.events")
    tandem.end()
    return {
        "model": model,
        "options": cast(Options, {name: value for name, value in options.items() if value is not None}),
        "seed": secrets.randbits(32) if seed is None else seed % (1 << 64),
        "stream": stream,
        "origins": origins,
        "events": events,
        "must_be_exact": must_be_exact,
    }


def take_choices(fields: Fields) -> dict[str, Any]:
    """The same of what completions and chats have in common beyond that.

    Raises:
        ApiError: it cannot be understood, or not be done.
    """
    choices = fields.take("n", _choices) or 1
    stream_options = fields.inside("stream_options")
    with_usage = stream_options.flag("include_usage")
    stream_options.drop("include_obfuscation")
    stream_options.end()
    for name in ("frequency_penalty", "presence_penalty"):
        fields.refuse(name, (0,), f"the target's tokens are drawn from what it says alone: leave `{name}` out")
    fields.refuse("logit_bias", ({},), "the target's tokens are drawn from what it says alone: leave `logit_bias` out")
    fields.drop("store")
    return {"choices": choices, "with_usage": with_usage}


def positive(name: str, value: Any) -> int:
    """A number of tokens.

    Raises:
        InputError: it is none.
    """
    found = values.whole(name, value)
    if found < 1:
        raise InputError(f"{name} must be 1 or more, not {found}")
    return found


def _unyielding(on_outage: OnOutage | None, coupling: Coupling | None) -> dict[str, Any]:
    """How a text is written that must be the target's own, whatever the server does otherwise."""
    if on_outage is OnOutage.LOCAL:
        raise ApiError(
            400,
            "`tandem.require` asks for the target's own text, which the device cannot write alone: give wait or fail, "
            "or leave `tandem.on_outage` out",
            param="tandem.on_outage",
        )
    if coupling is Coupling.RESIDUAL:
        raise ApiError(
            400,
            "`tandem.require` asks for the target's own text, and with the coupling residual another one is written, "
            "though as likely: leave `tandem.coupling` out",
            param="tandem.coupling",
        )
    return {"on_outage": on_outage or OnOutage.WAIT, "coupling": Coupling.GUMBEL}


def _exact(name: str, value: Any) -> Literal["exact"]:
    if value == "exact":
        return "exact"
    raise InputError(f'{name} must be "exact", or be left out')


def _stops(name: str, value: Any) -> tuple[str, ...]:
    found = values.strings(name, value)
    within(f"the number of strings in {name}", len(found), 0, MOST_STOPS)
    return found


def _choices(name: str, value: Any) -> int:
    return within(name, values.whole(name, value), 1, MOST_CHOICES)
