"""What a request of OpenAI's API asks for, in Tandem's words."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

from edge_client.bundles.bundle import Bundle
from edge_client.server.errors import ApiError, unsupported
from edge_client.server.fields import Fields, within
from edge_client.server.structure import Structure, read_structure
from edge_client.settings import OnOutage, Options
from shared import values
from shared.chat.template import check_messages
from shared.config import Mode
from shared.errors import InputError

MOST_CHOICES = 16
MOST_STOPS = 16
_PLAIN = Structure({})
_EXACT = (Mode.EXACT, Mode.CLOUD)
# What the fields of `tandem` may say of a text; the others of `Settings` have fields of OpenAI's own.
_TANDEM: dict[str, Callable[[str, Any], object]] = {
    "budget": values.number,
    "criterion": values.string,
    "strict_structure": values.switch,
    "coupling": values.string,
    "prefer": values.string,
    "window": values.whole,
    "top_k": values.whole,
    "audit": values.switch,
    "timeout": values.seconds,
    "on_outage": values.string,
    "domain": values.string,
}

# Makes the ids of a prompt; whoever writes calls it, for that may take a while, or fail.
Prompt = Callable[[Bundle], list[int]]


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        model: by the name that the client gave.
        prompts: one text each, `choices` times.
        is_chat: how it is answered: as a turn of a conversation, or as plain text.
        options: of every text, but for its seed.
        seed: of the first choice; the next ones have the next seeds.
        max_tokens: None for what fits, or the server's own limit.
        stream, with_usage: whether tokens come as they are settled, and the figures behind them.
        logprobs: tell how likely each token is to the target.
        origins: tell who wrote each token, and what the target thinks of it.
        events: in a stream, also tell of each token by itself, and of drafted ones that nobody has judged yet.
        structure: what the answer must keep to.
    """

    model: str
    prompts: list[Prompt]
    is_chat: bool
    options: Options
    seed: int
    max_tokens: int | None
    choices: int
    stream: bool
    with_usage: bool
    logprobs: bool
    origins: bool
    events: bool
    structure: Structure


def read_completion(body: dict[str, Any]) -> Asked:
    """A request to `/v1/completions`.

    Raises:
        ApiError: it asks for what is not done here, or cannot be understood.
    """
    fields = Fields(body)
    prompts = fields.take("prompt", _prompts)
    if prompts is None:
        raise ApiError(400, "`prompt` is missing: give a text to go on from", param="prompt")
    fields.refuse("echo", (False,), "the prompt is not repeated here: leave `echo` out, and put both together yourself")
    fields.refuse("suffix", ("",), "texts are written forwards only: leave `suffix` out")
    fields.refuse("best_of", (1, body.get("n")), "no choices are written and thrown away here: leave `best_of` out")
    logprobs = fields.take("logprobs", values.whole)
    if logprobs:
        raise unsupported("logprobs", _NO_ALTERNATIVES.format("logprobs", "to 0, which gives that of each token"))
    return _rest(fields, prompts, False, logprobs is not None, fields.take("max_tokens", _positive))


def read_chat(body: dict[str, Any]) -> Asked:
    """A request to `/v1/chat/completions`.

    Raises:
        ApiError: as `read_completion`.
    """
    fields = Fields(body)
    messages = fields.take("messages", _messages)
    if messages is None:
        raise ApiError(
            400, "`messages` is missing: give the turns so far, each with a role and its content", param="messages"
        )
    max_tokens = fields.take("max_completion_tokens", _positive) or fields.take("max_tokens", _positive)
    fields.drop("max_tokens")
    logprobs = fields.flag("logprobs")
    fields.refuse("top_logprobs", (0,), _NO_ALTERNATIVES.format("top_logprobs", "out, or give 0"))
    structure = read_structure(fields)
    fields.refuse("functions", ([],), "this old field is not read here: give `tools` and `tool_choice`")
    fields.refuse("function_call", ("none", "auto"), "this old field is not read here: give `tools` and `tool_choice`")
    fields.refuse("modalities", (["text"],), "only text is written here: leave `modalities` out")
    fields.drop("parallel_tool_calls", "reasoning_effort", "verbosity")
    return _rest(fields, [messages], True, logprobs, max_tokens, structure)


_NO_ALTERNATIVES = (
    "the target tells how likely the token is that stands in the text, not what else it might have been: set `{}` {}"
)


def _rest(
    fields: Fields,
    prompts: list[Prompt],
    is_chat: bool,
    logprobs: bool,
    max_tokens: int | None,
    structure: Structure = _PLAIN,
) -> Asked:
    """What both kinds of request have in common."""
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
    choices = fields.take("n", _choices) or 1
    stream = fields.flag("stream")
    stream_options = fields.inside("stream_options")
    with_usage = stream_options.flag("include_usage")
    stream_options.drop("include_obfuscation")
    stream_options.end()
    for name in ("frequency_penalty", "presence_penalty"):
        fields.refuse(name, (0,), f"the target's tokens are drawn from what it says alone: leave `{name}` out")
    fields.refuse("logit_bias", ({},), "the target's tokens are drawn from what it says alone: leave `logit_bias` out")
    fields.drop("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
    tandem = fields.inside("tandem")
    mode = tandem.take("mode", values.string)
    require = tandem.take("require", _exact)
    options["mode"] = _required(require, mode)
    options |= {name: value for name, kind in _TANDEM.items() if (value := tandem.take(name, kind)) is not None}
    if require is not None:
        options["on_outage"] = _unyielding(options.get("on_outage"))
    origins, events = tandem.flag("origins"), tandem.flag("events")
    if events and not stream:
        raise ApiError(400, "`tandem.events` come in a stream only: give `stream`, too", param="tandem.events")
    tandem.end()
    fields.end()
    given = cast(Options, {name: value for name, value in options.items() if value is not None} | structure.options)
    seed = secrets.randbits(32) if seed is None else seed % (1 << 64)
    return Asked(
        model,
        prompts,
        is_chat,
        given,
        seed,
        max_tokens,
        choices,
        stream,
        with_usage,
        logprobs,
        origins,
        events,
        structure,
    )


def _required(require: Literal["exact"] | None, mode: str | None) -> str | None:
    """The mode, where the text must be the target's own."""
    if require is None:
        return mode
    if mode is not None and mode not in _EXACT:
        raise ApiError(
            400,
            f"`tandem.require` asks for the target's own text, which mode {mode} does not write: give exact or cloud, "
            "or leave `tandem.mode` out",
            param="tandem.mode",
        )
    return mode or Mode.EXACT


def _unyielding(on_outage: str | None) -> str:
    """What becomes of a text that must be the target's own, where that is away."""
    if on_outage == OnOutage.LOCAL:
        raise ApiError(
            400,
            "`tandem.require` asks for the target's own text, which the device cannot write alone: give wait or fail, "
            "or leave `tandem.on_outage` out",
            param="tandem.on_outage",
        )
    return on_outage or OnOutage.WAIT


def _exact(name: str, value: Any) -> Literal["exact"]:
    if value == "exact":
        return "exact"
    raise InputError(f'{name} must be "exact", or be left out')


def _prompts(name: str, value: Any) -> list[Prompt]:
    """One prompt or several, each a text or token ids."""
    several = value if isinstance(value, list) and value and not _is_ids(value) else [value]
    if not all(isinstance(one, str) or _is_ids(one) for one in several):
        raise InputError(f"{name} must be a text, a list of token ids, or a list of several of either")
    within(f"the number of prompts in {name}", len(several), 1, MOST_CHOICES)
    return [partial(Bundle.encode, prompt=one) for one in several]


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) is int for one in value)


def _messages(name: str, value: Any) -> Prompt:
    """A conversation; contents given in parts are put together."""
    if not isinstance(value, list):
        raise InputError(f"{name} must be a list of turns, each with a role and its content")
    turns = check_messages([_turn(f"{name}[{i}]", turn) for i, turn in enumerate(value)])
    return partial(Bundle.encode_chat, messages=turns)


def _turn(name: str, turn: Any) -> dict[str, Any]:
    """One turn; fields that are null, or hold nothing, are as if they were not there."""
    if not isinstance(turn, dict):
        raise InputError(f"{name} must be an object with a role and its content")
    given = {key: part for key, part in turn.items() if part is not None and part != []}
    if given.get("role") == "developer":
        given["role"] = "system"
    content = given.get("content")
    if isinstance(content, list):
        given["content"] = "".join(_text_of(f"{name}.content[{i}]", part) for i, part in enumerate(content))
    return given


def _text_of(name: str, part: Any) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        text: str = part["text"]
        return text
    raise InputError(f"{name} is no text, and nothing else is read here")


def _stops(name: str, value: Any) -> tuple[str, ...]:
    found = values.strings(name, value)
    within(f"the number of strings in {name}", len(found), 0, MOST_STOPS)
    return found


def _choices(name: str, value: Any) -> int:
    return within(name, values.whole(name, value), 1, MOST_CHOICES)


def _positive(name: str, value: Any) -> int:
    found = values.whole(name, value)
    if found < 1:
        raise InputError(f"{name} must be 1 or more, not {found}")
    return found
