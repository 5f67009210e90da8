"""A request to `/v1/completions`."""

from __future__ import annotations

from functools import partial
from typing import Any

from edge_client.bundles.bundle import Bundle
from edge_client.server.asked import MOST_CHOICES, Asked, Prompt, positive, take_choices, take_common
from edge_client.server.errors import NO_ALTERNATIVES, ApiError, unsupported
from edge_client.server.fields import Fields, within
from shared import values
from shared.errors import InputError


def read_completion(body: dict[str, Any]) -> Asked:
    """What it asks for.

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
        raise unsupported("logprobs", NO_ALTERNATIVES.format("set `logprobs` to 0, which gives that of each token"))
    asked = take_common(fields) | take_choices(fields)
    if (most := fields.take("max_tokens", positive)) is not None:
        asked["options"]["max_tokens"] = most
    fields.end()
    return Asked(prompts=prompts, logprobs=logprobs is not None, **asked)


def _prompts(name: str, value: Any) -> list[Prompt]:
    """One prompt or several, each a text or token ids."""
    several = value if isinstance(value, list) and value and not _is_ids(value) else [value]
    if not all(isinstance(one, str) or _is_ids(one) for one in several):
        raise InputError(f"{name} must be a text, a list of token ids, or a list of several of either")
    within(f"the number of prompts in {name}", len(several), 1, MOST_CHOICES)
    return [partial(Bundle.encode, prompt=one) for one in several]


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) is int for one in value)
