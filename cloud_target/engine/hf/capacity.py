"""How many tokens the cache holds: from what a model keeps of each, and the memory that there is."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from cloud_target.engine.hf.cache import BareCache, StoreCache
from cloud_target.engine.hf.store import KvStore, Shape, token_bytes
from cloud_target.engine.hf.typed import cache_argument
from shared.errors import InputError
from shared.machine import available_memory
from shared.sizes import show_size

# Texts take room in blocks of so many tokens: a short text wastes little, and a growing one seldom moves.
BLOCK = 64
# Most memory for keys and values on a CPU, bytes, unless told.
MEMORY = 1 << 30


class _Probe(BareCache):
    """Takes note of what a model wants kept."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: dict[int, tuple[Shape, Shape]] = {}
        self.dtype = torch.float32

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object, **__: object):
        self.dtype = key_states.dtype
        self.shapes[layer_idx] = _shape(key_states), _shape(value_states)
        return key_states, value_states


def _shape(states: torch.Tensor) -> Shape:
    return states.shape[1], states.shape[3]


def probe(model: PreTrainedModel) -> tuple[dict[int, tuple[Shape, Shape]], torch.dtype]:
    """Heads and head size of keys and of values by layer, and their dtype: found out by reading one token."""
    cache = _Probe()
    one = torch.zeros(1, 1, dtype=torch.int64, device=model.device)
    with torch.inference_mode():
        model(input_ids=one, position_ids=one, use_cache=True, **{str(cache_argument(model)): cache})
    return cache.shapes, cache.dtype


def make_cache(model: PreTrainedModel, memory: int | None, context: int) -> StoreCache:
    """An empty store for the model's keys and values, as a cache.

    Args:
        memory: for all keys and values, bytes; by default half of what is free, and at most 1 GiB on a CPU.
        context: longest text in tokens; at least one of these must fit.

    Raises:
        InputError: it does not fit, or there is no such memory.
    """
    shapes, dtype = probe(model)
    each = token_bytes(list(shapes.values()), dtype)
    if memory is None:
        memory = usual_memory(model.device, available_memory())
    else:
        check_memory(memory, model.device, available_memory())
    least = -(-context // BLOCK) * BLOCK * each
    if memory < least:
        raise InputError(
            f"a text of {context} tokens needs {least} bytes of keys and values, more than --kv-memory allows "
            f"({memory}); give more, or a shorter --context"
        )
    store = KvStore(list(shapes.values()), memory // each, BLOCK, dtype, model.device)
    return StoreCache(store, {layer: i for i, layer in enumerate(shapes)})


def check_memory(wanted: int, device: torch.device, free: int | None) -> None:
    """Refuse more for keys and values than there is, where nobody else would: a CPU's memory is taken as texts need it,
    and a process that takes too much of it is killed.

    Args:
        wanted: bytes.
        free: bytes of main memory; None where nobody knows.

    Raises:
        InputError: there is less.
    """
    if device.type == "cpu" and free is not None and wanted > free:
        raise InputError(
            f"--kv-memory asks for {show_size(wanted)}, and only {show_size(free)} are free on this machine; give less"
        )


def usual_memory(device: torch.device, free: int | None) -> int:
    """Bytes for keys and values where nobody asks for some: half of what is free, and at most `MEMORY` on a CPU.

    Args:
        free: bytes of main memory; None where nobody knows.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return MEMORY if free is None else min(MEMORY, free // 2)
