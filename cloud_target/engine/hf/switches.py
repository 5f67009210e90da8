"""From which lengths of text on a model computes in another way, as far as its configuration says; and how far to try.

A sliding window, a rotation that changes beyond the length of training, attention in chunks: what such a model computes
of short texts says nothing of long ones, so a trial must pass them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from transformers import PretrainedConfig

# Names of lengths in tokens at which something changes.
_LENGTH = re.compile(r"window|chunk|original_max_position|floor_scale|local_attention|block_size")
# Kinds of rotation that change with the length of the longest text, for all tokens of a pass at once.
_GROWING = ("longrope",)
# Tokens of a text that are tried beyond the last switch, and at least.
BEYOND, LEAST = 64, 48
# What a trial may cost, in weights times tokens, and in bytes of attention scores: some seconds.
_WORK = {"cpu": 2e12, "cuda": 1e14}
_SCORES = {"cpu": 2 << 30, "cuda": 8 << 30}


def rotation(config: PretrainedConfig) -> dict[str, Any]:
    """The parameters of a model's rotary positions, whichever version of transformers calls them what."""
    text = config.get_text_config()
    found = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    return found if isinstance(found, dict) else {}


def growing_from(config: PretrainedConfig) -> int | None:
    """The longest text, in tokens, up to which rotary positions are rotated alike in every text; None for any."""
    text, usual = config.get_text_config(), None
    parameters = rotation(config)
    for rope in (parameters, *(value for value in parameters.values() if isinstance(value, dict))):
        if rope.get("rope_type", rope.get("type")) in _GROWING:
            usual = getattr(text, "original_max_position_embeddings", None) or rope.get(
                "original_max_position_embeddings"
            )
    return usual


def switches(config: PretrainedConfig, context: int) -> list[int]:
    """Lengths in tokens, below `context`, beyond which the model computes in another way."""
    return sorted({length for length in _lengths(config.get_text_config().to_dict()) if 1 < length < context})


def _lengths(config: dict[Any, Any]) -> Iterator[int]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _lengths(value)
        elif _LENGTH.search(str(key)):
            yield from (v for v in (value if isinstance(value, list | tuple) else [value]) if type(v) is int)


def bearable_length(config: PretrainedConfig, parameters: int, device: torch.device, scores: int | None = None) -> int:
    """How many tokens a model can be tried with at a cost that can be borne.

    Args:
        parameters: of the model.
        device: where it runs.
        scores: bytes that attention scores may take; None for what a machine that serves has.
    """
    heads = getattr(config.get_text_config(), "num_attention_heads", None) or 1
    scores = scores or _SCORES[device.type]
    return int(min(_WORK[device.type] / max(parameters, 1), (scores / (12 * heads)) ** 0.5))


def trial_length(config: PretrainedConfig, context: int, parameters: int, device: torch.device) -> int:
    """How many tokens show what a model computes up to `context`; fewer than one of the `switches` if that is too far.

    Args:
        parameters, device: as in `bearable_length`.
    """
    wanted = min(context, max([LEAST, *(length + BEYOND for length in switches(config, context))]))
    return max(min(wanted, bearable_length(config, parameters, device)), min(context, LEAST))


def tried_context(config: PretrainedConfig, context: int, tried: int) -> int:
    """The longest text of which a trial over `tried` tokens says everything, up to `context`."""
    return next((length for length in switches(config, context) if length >= tried), context)
