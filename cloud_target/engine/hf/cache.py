"""The store as transformers' models see it: something that takes a layer's new keys and values and gives back all."""

from __future__ import annotations

import torch
from transformers import Cache, PreTrainedModel

from cloud_target.engine.hf.padded import Padded
from cloud_target.engine.hf.store import KvStore, Shape, token_bytes
from shared.errors import InputError

# Texts take room in blocks of so many tokens: a short text wastes little, and a growing one seldom moves.
BLOCK = 64
# Memory for keys and values on a CPU, bytes, unless told; on CUDA, half of what is free then.
MEMORY = 1 << 30


class _Bare(Cache):
    """What some models ask a cache for masks of their own, which an explicit 4-D mask makes needless."""

    def __init__(self) -> None:
        super().__init__(layers=[])

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    def get_mask_sizes(self, *_: object) -> tuple[int, int]:
        return 1, 0

    def get_max_cache_shape(self, layer_idx: int = 0) -> int:
        return -1

    get_max_length = get_max_cache_shape

    @property
    def is_sliding(self) -> list[bool]:
        return [False]

    @property
    def is_compileable(self) -> bool:
        return False

    @property
    def is_initialized(self) -> bool:
        return True


class StoreCache(_Bare):
    """Writes to the store, and gives back the arenas themselves, or what rows see of them side by side.

    Set `where`, the arena index of each new token, ``int64 [N]``, and, for a padded pass, `padded`, before each pass.
    """

    def __init__(self, store: KvStore, layers: dict[int, int]) -> None:
        super().__init__()
        self.store, self._layers = store, layers
        self.where = torch.empty(0, dtype=torch.int64)
        self.padded: Padded | None = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object, **__: object):
        """Write the new keys and values ``[B, heads, T, head size]``."""
        layer = self._layers[layer_idx]
        return (
            self._place(self.store.keys[layer], key_states),
            self._place(self.store.values[layer], value_states),
        )

    def _place(self, arena: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        new = new.transpose(1, 2).flatten(0, 1)
        if self.padded is None:
            arena.index_copy_(0, self.where, new)
            return arena
        arena.index_copy_(0, self.where, new.index_select(0, self.padded.new))
        return arena[self.padded.seen].transpose(1, 2)


class _Probe(_Bare):
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
        model(input_ids=one, position_ids=one, past_key_values=cache, use_cache=True)
    return cache.shapes, cache.dtype


def make_cache(model: PreTrainedModel, memory: int | None, context: int) -> StoreCache:
    """An empty store for the model's keys and values, as a cache.

    Args:
        memory: for all keys and values, bytes; by default 1 GiB on a CPU, and half of what is free on CUDA.
        context: longest text in tokens; at least one of these must fit.

    Raises:
        InputError: it does not fit, or there is no such memory.
    """
    shapes, dtype = probe(model)
    each = token_bytes(list(shapes.values()), dtype)
    if memory is None:
        memory = torch.cuda.mem_get_info(model.device)[0] // 2 if model.device.type == "cuda" else MEMORY
    least = -(-context // BLOCK) * BLOCK * each
    if memory < least:
        raise InputError(
            f"a text of {context} tokens needs {least} bytes of keys and values, more than --kv-memory allows "
            f"({memory}); give more, or a shorter --context"
        )
    store = KvStore(list(shapes.values()), memory // each, BLOCK, dtype, model.device)
    return StoreCache(store, {layer: i for i, layer in enumerate(shapes)})
