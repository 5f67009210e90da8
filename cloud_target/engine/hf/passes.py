"""Two ways to run the model over texts in different slots: packed in one line, or padded side by side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from cloud_target.engine.hf import packed
from cloud_target.engine.hf.cache import StoreCache
from cloud_target.engine.hf.costs import Costs, grouped, seconds
from cloud_target.engine.hf.padded import MaskMaker, Padded
from cloud_target.engine.hf.typed import cache_argument, only_logits
from cloud_target.engine.lineage import depths


class Text(NamedTuple):
    """New tokens of one text.

    Attributes:
        slot: whose.
        start: position of the first.
        tokens: their ids.
        follows: where they are a tree: of each, the index of the one that it follows, -1 for the first.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    follows: Sequence[int] = ()


class Passes(ABC):
    """Forward passes over texts whose keys and values are in one store.

    Args:
        model: in evaluation mode, on its device.
        cache: what it writes to.
        vocabulary: ids are below it; a model may have rows beyond.

    Attributes:
        costs: decide which texts share a call; until they are measured, none do.
        branches: whether new tokens may be a tree.
    """

    branches = False

    def __init__(self, model: PreTrainedModel, cache: StoreCache, vocabulary: int) -> None:
        self.model, self.store = model, cache.store
        self.device = model.device
        self.costs = Costs(call=0.0)
        self.vocabulary = vocabulary
        self._cache = cache
        self._cached = str(cache_argument(model))
        self._masks = MaskMaker(model)

    @torch.inference_mode()
    def run(self, texts: Sequence[Text], keep: Sequence[int]) -> torch.Tensor:
        """One pass over texts in different slots. The tokens of a tree stand one behind the other in their slot.

        Returns:
            The logits of the last `keep[i]` tokens of each text, one after the other, ``float32 [N, vocabulary]``.

        Raises:
            ValueError: a text leaves a gap in its slot, or there is no room.
        """
        places = [self.store.reserve(text.slot, text.start + len(text.tokens)) for text in texts]
        for text, place in zip(texts, places, strict=True):
            if text.start > place.held:
                raise ValueError(f"slot {text.slot} holds {place.held} tokens, fed from {text.start}")
            place.held = text.start
        logits = self._logits(texts, [place.offset for place in places], keep)
        for text, place in zip(texts, places, strict=True):
            place.held = text.start + len(text.tokens)
        return logits

    def trim(self, slot: int, tokens: int = 0) -> None:
        """Keep only the first tokens of a slot, and none of a slot with 0."""
        self.store.trim(slot, tokens)

    @abstractmethod
    def _logits(self, texts: Sequence[Text], offsets: Sequence[int], keep: Sequence[int]) -> torch.Tensor:
        """See `run`; the texts begin at these arena indices."""

    @abstractmethod
    def learn_costs(self, call: float, token: float, longest: int) -> None:
        """Set `costs` for this device.

        Args:
            call: seconds of a pass over one token.
            token: seconds that each further one adds.
            longest: most tokens that are worth measuring with.
        """

    def _to_device(self, index: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(index).to(self.device)


class PackedPasses(Passes):
    """Texts of any lengths without padding (see `packed.py`); the model's attention must be `packed.NAME`.

    Args:
        context: longest text in tokens.
    """

    branches = True

    def __init__(self, model: PreTrainedModel, cache: StoreCache, vocabulary: int, context: int) -> None:
        super().__init__(model, cache, vocabulary)
        self._views = packed.Masks(context, self.store.keys[0].dtype, self.device)

    def _logits(self, texts: Sequence[Text], offsets: Sequence[int], keep: Sequence[int]) -> torch.Tensor:
        rows: list[packed.Row] = []
        ids: list[int] = []
        positions, where, wanted = [], [], []
        for (_, start, tokens, follows), offset, count in zip(texts, offsets, keep, strict=True):
            for begin in range(0, len(tokens), packed.QUERY):
                end = min(begin + packed.QUERY, len(tokens))
                rows.append(packed.Row(len(ids) + begin, len(ids) + end, offset, offset + start + end, tuple(follows)))
            ids += tokens
            places = np.arange(start, start + len(tokens))
            positions.append(start + np.array(depths(follows)) if follows else places)
            where.append(places + offset)
            wanted.append(np.arange(len(ids) - count, len(ids)))
        self._cache.where, self._cache.padded = self._to_device(np.concatenate(where)), None
        # 0 keeps all, without a copy.
        keeping = 0 if sum(keep) == len(ids) else self._to_device(np.concatenate(wanted))
        only = only_logits(self.model, keeping)
        work = packed.Packed(rows, self._views, self.costs, self.device)
        with packed.attending(work):
            logits = self.model(
                input_ids=torch.tensor([ids], device=self.device),
                attention_mask=self._masks.none(self.device),
                position_ids=self._to_device(np.concatenate(positions))[None],
                use_cache=True,
                **{self._cached: self._cache},
                **only,
            ).logits[0]
        if not only and sum(keep) < len(ids):
            logits = logits[keeping]
        return logits[:, : self.vocabulary].float()

    @torch.inference_mode()
    def learn_costs(self, call: float, token: float, longest: int) -> None:
        """Rows share a call of attention only, so that is what is measured."""
        keys, values = self.store.keys[0], self.store.values[0]
        heads = self.model.config.get_text_config().num_attention_heads
        new, seen = min(packed.QUERY, longest), longest
        query = keys.new_zeros(1, heads, 8 * new, keys.shape[2])

        def attend(count: int, new: int, seen: int, costs: Costs) -> float:
            rows = [packed.Row(i * new, (i + 1) * new, 0, seen) for i in range(count)]
            work = packed.Packed(rows, self._views, costs, self.device)
            line = query[:, :, : count * new]
            return seconds(lambda: work.attend(line, keys, values, packed.How()), self.device)

        alone, together = Costs(call=0.0, new=1.0), Costs(call=1.0)
        least = attend(1, 1, 1, alone)
        pair = max(attend(1, new, seen, alone) - least, 0.0) / (new * seen)
        gathered = max(attend(8, 2, seen, together) - least - 8 * 2 * seen * pair, 0.0) / (8 * seen)
        self.costs = Costs(least, pair, gathered)


class PaddedPasses(Passes):
    """Texts side by side with padding (see `padded.py`), as any causal model takes them."""

    def _logits(self, texts: Sequence[Text], offsets: Sequence[int], keep: Sequence[int]) -> torch.Tensor:
        sizes = [(len(text.tokens), text.start + len(text.tokens)) for text in texts]
        found: dict[int, torch.Tensor] = {}
        for group in grouped(sizes, self.costs):
            rows = [texts[i] for i in group]
            at = Padded([(offsets[i], texts[i].start, len(texts[i].tokens)) for i in group], self.device)
            width, most = at.positions.shape[1], max(keep[i] for i in group)
            where = at.positions + torch.tensor([[offsets[i]] for i in group], device=self.device)
            self._cache.where, self._cache.padded = where.flatten()[at.new], at
            ids = torch.tensor([[0] * (width - len(row.tokens)) + list(row.tokens) for row in rows], device=self.device)
            logits = self.model(
                input_ids=ids,
                attention_mask=self._masks.make(at),
                position_ids=at.positions,
                use_cache=True,
                **{self._cached: self._cache},
                **only_logits(self.model, max(most, 1)),
            ).logits
            for row, i in zip(logits, group, strict=True):
                found[i] = row[len(row) - keep[i] :, : self.vocabulary]
        return torch.cat([found[i] for i in range(len(texts))]).float()

    def learn_costs(self, call: float, token: float, longest: int) -> None:
        """Rows share whole passes."""
        self.costs = Costs(call=call, new=token)
