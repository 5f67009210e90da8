"""LoRA adapters in vLLM: what it must be told of them before it begins, and that it applies them, all of each.

Two things are known of the version that was tried: without the option of the modules to adapt it also wraps the output
layer, and then takes the scored rows for rows that are drawn from; and on a CPU, rows without an adapter are given the
one in the last place (`vllm/lora/ops/torch_ops`), so that one must stay empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np

from cloud_target.engine.adapters import LocalAdapter
from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.vllm.asking import NEAR, ask, text_of
from cloud_target.engine.vllm.engine import VllmEngine
from shared.config import Sampling
from shared.errors import InputError, first_line

_ABOUT = ("lora",)


def options(adapters: Sequence[LocalAdapter], is_cpu: bool) -> dict[str, Any]:
    """What vLLM is told of them, by the names of its `EngineArgs`.

    Raises:
        InputError: it does not take one, of that rank or of that kind.
    """
    if not adapters:
        return {}
    from vllm.config.lora import LoRAConfig, MaxLoRARanks
    from vllm.lora.peft_helper import PEFTHelper

    ranks = sorted(get_args(MaxLoRARanks))
    largest = max(adapters, key=lambda one: one.rank)
    if largest.rank > ranks[-1]:
        raise InputError(
            f"the adapter {largest.adapter.name} cannot be used: its rank is {largest.rank}, and vLLM takes at most "
            f"{ranks[-1]}",
            options=_ABOUT,
        )
    rank = next(rank for rank in ranks if rank >= largest.rank)
    for one in adapters:  # as its workers do, but before they are there
        try:
            PEFTHelper.from_local_dir(str(one.directory), None).validate_legal(LoRAConfig(max_lora_rank=rank))
        except Exception as error:
            raise _not_taken(one.adapter.name, error) from error
    places = len(adapters) + is_cpu
    return {
        "enable_lora": True,
        "max_loras": places,
        "max_cpu_loras": places,
        "max_lora_rank": rank,
        "lora_target_modules": sorted({layer for one in adapters for layer in one.layers}),
    }


def load(client: Any, adapters: Sequence[LocalAdapter]) -> dict[str, Any]:
    """Have vLLM load them; returns what requests name them by.

    Raises:
        InputError: it does not take one.
    """
    if not adapters:
        return {}
    from vllm.lora.request import LoRARequest

    requests = {}
    for number, one in enumerate(adapters, 1):
        name = one.adapter.name
        requests[name] = LoRARequest(name, number, str(one.directory))
        try:
            client.add_lora(requests[name])
        except Exception as error:  # of no common base, from another process
            raise _not_taken(name, error) from error
    return requests


def check(engine: VllmEngine, tell: Callable[[str], None]) -> None:
    """See that a text has the same scores whoever else is in the pass: with each adapter, and without any.

    Args:
        tell: is told, in a sentence, of one that changes nothing.

    Raises:
        InputError: it has not.
    """
    names = [one.name for one in engine.description.adapters]
    if not names:
        return
    ids = text_of(engine)
    feeds = [Feed(slot, 0, ids, 0, Sampling(0.0), adapter=name) for slot, name in enumerate(("", *names))]
    alone = [ask(engine, [feed])[0] for feed in feeds]
    beside = ask(engine, feeds)
    for feed in feeds:
        engine.trim(feed.slot)
    if not all(map(_is_near, alone, beside)):
        raise InputError(
            "this vLLM scores texts with an adapter otherwise when others are in the pass, so its answers cannot be "
            "relied on; use a version that is known to work, or leave vLLM's own options for LoRA out",
            options=_ABOUT,
        )
    for name, one in zip(names, alone[1:], strict=True):
        if np.array_equal(one.given.nll, alone[0].given.nll):
            tell(f"the adapter {name} changes nothing in a text of {len(ids)} tokens; was it trained?")


def _not_taken(name: str, error: Exception) -> InputError:
    return InputError(f"the adapter {name} cannot be used: vLLM does not take it ({first_line(error)})", options=_ABOUT)


def _is_near(one: Scores, other: Scores) -> bool:
    # A near tie may fall either way, for passes of another shape round otherwise.
    return float(np.mean(one.own == other.own)) >= 0.9 and bool(
        np.abs(one.given.nll - other.given.nll).max(initial=0.0) < NEAR
    )
