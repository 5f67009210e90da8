"""The store as transformers' models see it: something that takes a layer's new keys and values and gives back all."""

from __future__ import annotations

import torch
from transformers import Cache

from cloud_target.engine.hf.padded import Padded
from cloud_target.engine.hf.store import KvStore


class BareCache(Cache):
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


class StoreCache(BareCache):
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
