"""The target as an engine: feeds of several texts in, scores out, one forward pass over all of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from cloud_target.engine.hf import packed
from cloud_target.engine.hf.cache import StoreCache, probe
from cloud_target.engine.hf.costs import Costs, grouped, seconds
from cloud_target.engine.hf.fitness import refuse_unfit, settle
from cloud_target.engine.hf.model import LoadedTarget
from cloud_target.engine.hf.padded import MaskMaker, Padded
from cloud_target.engine.hf.store import KvStore, token_bytes
from cloud_target.engine.interface import Feed, Scores, check_feeds
from cloud_target.engine.scoring.score import Row, score
from shared.config import Coupling
from shared.errors import InputError, TargetError
from shared.wire.codec import AuditedTokens

# The default context is the model's own, up to here.
CONTEXT = 4096
# Texts take room in blocks of so many tokens: a short text wastes little, and a growing one seldom moves.
BLOCK = 64
# Fewest tokens of a chunk of a long feed: with fewer a prompt takes too many passes.
SMALLEST_CHUNK = 16
# Most tokens of one: with more its activations take too much memory.
LARGEST_CHUNK = 512
# Memory for keys and values on a CPU, bytes, unless told; on CUDA, half of what is free then.
MEMORY = 1 << 30

# Of one text: its slot, the position of the first new token, and the new tokens.
Text = tuple[int, int, Sequence[int]]


class TargetEngine:
    """An `Engine` over a Hugging Face causal language model.

    Args:
        target: see `load_target`.
        memory: for keys and values, bytes; by default 1 GiB on a CPU, and half of what is free on CUDA.
        context: longest text in tokens; by default the model's own, at most 4096.

    Attributes:
        packs: whether texts of different lengths share a pass without padding.

    Raises:
        InputError: the model cannot be served, the context is longer than the model's, or there is no memory.
    """

    block = BLOCK
    chunk = SMALLEST_CHUNK

    def __init__(self, target: LoadedTarget, memory: int | None = None, context: int | None = None) -> None:
        self.model, self.description = target.model, target.description
        self.device = target.model.device
        config = self.model.config.get_text_config()
        longest = getattr(config, "max_position_embeddings", None)
        if context and longest and context > longest:
            raise InputError(f"{self.description.name} takes at most {longest} tokens; --context {context} is too long")
        self.context = context or min(longest or CONTEXT, CONTEXT)
        refuse_unfit(self.model, self.context)
        self._keeps_logits = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        self._masks = MaskMaker(self.model)
        self._make_store(memory)
        self._costs = self._whole_costs = Costs(call=0.0)
        self.windows: set[int | None] = set()
        self.packs = settle(self)
        self._measure()

    @property
    def expected_windows(self) -> set[int | None]:
        """How far the model's layers look back, tokens; None is all the way."""
        if self._masks.mixed:
            return {None, self._masks.window}
        return {self._masks.window}

    def _make_store(self, memory: int | None) -> None:
        shapes, dtype = probe(self.model)
        self.token_bytes = token_bytes(list(shapes.values()), dtype)
        if memory is None:
            memory = torch.cuda.mem_get_info(self.device)[0] // 2 if self.device.type == "cuda" else MEMORY
        least = -(-self.context // BLOCK) * BLOCK
        if memory < least * self.token_bytes:
            raise InputError(
                f"a text of {self.context} tokens needs {least * self.token_bytes} bytes of keys and values, more than "
                f"--kv-memory allows ({memory}); give more, or a shorter --context"
            )
        self._store = KvStore(list(shapes.values()), memory // self.token_bytes, BLOCK, dtype, self.device)
        self.capacity = self._store.capacity
        self._cache = StoreCache(self._store, {layer: i for i, layer in enumerate(shapes)})
        self._views = packed.Masks(self.context, dtype, self.device)

    @torch.inference_mode()
    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        """Read all feeds and score their rows; only small arrays leave the device.

        Raises:
            ValueError: a feed that the caller must not make, or more than there is room for.
            TargetError: the model's arithmetic gave no numbers, or the device has no memory for it.
        """
        check_feeds(self, feeds)
        rows = [list(_rows(feed)) for feed in feeds]
        try:
            logits = self.run([(feed.slot, feed.start, feed.tokens) for feed in feeds], list(map(len, rows)))
            result, first, found = score(logits, [row for part in rows for row in part]), 0, []
        except torch.OutOfMemoryError:
            raise TargetError(
                "the target's device has no memory left for this; its operator can give it a smaller --kv-memory"
            ) from None
        if not np.isfinite(result.own_nll).all():
            raise TargetError(
                f"the target's arithmetic in {self.description.dtype} gave no numbers; use another --dtype"
            )
        for part in rows:
            end = first + len(part)
            given = AuditedTokens(*(column[first : end - 1] for column in result[2:]))  # the last has no token after it
            found.append(Scores(result.own[first:end], result.own_nll[first:end], given))
            first = end
        return found

    def trim(self, slot: int, tokens: int = 0) -> None:
        """Keep only the first tokens of a slot, and none of a slot with 0."""
        self._store.trim(slot, tokens)

    @torch.inference_mode()
    def copy(self, source: int, target: int, count: int) -> None:
        """Let a slot begin with the first `count` tokens of another.

        Raises:
            ValueError: the other holds less, or there is no room.
        """
        self._store.copy(source, target, count)

    def check_integrity(self) -> None:
        """Raise AssertionError if slots overlap or hold more than they have room for."""
        self._store.check_integrity()

    @torch.inference_mode()
    def run(self, texts: Sequence[Text], keep: Sequence[int]) -> torch.Tensor:
        """One pass over texts in different slots.

        Returns:
            The logits of the last `keep[i]` tokens of each text, one after the other, ``float32 [N, vocabulary]``.

        Raises:
            ValueError: a text leaves a gap in its slot, or there is no room.
        """
        places = [self._store.reserve(slot, start + len(tokens)) for slot, start, tokens in texts]
        for (slot, start, _), place in zip(texts, places, strict=True):
            if start > place.held:
                raise ValueError(f"slot {slot} holds {place.held} tokens, fed from {start}")
            place.held = start
        offsets = [place.offset for place in places]
        logits = (self._run_packed if self.packs else self._run_padded)(texts, offsets, keep)
        for (_, start, tokens), place in zip(texts, places, strict=True):
            place.held = start + len(tokens)
        return logits

    def _run_packed(self, texts: Sequence[Text], offsets: Sequence[int], keep: Sequence[int]) -> torch.Tensor:
        rows, ids, positions, where, wanted = [], [], [], [], []
        for (_, start, tokens), offset, count in zip(texts, offsets, keep, strict=True):
            for begin in range(0, len(tokens), packed.QUERY):
                end = min(begin + packed.QUERY, len(tokens))
                rows.append(packed.Row(len(ids) + begin, len(ids) + end, offset, offset + start + end))
            ids += tokens
            positions.append(np.arange(start, start + len(tokens)))
            where.append(positions[-1] + offset)
            wanted.append(np.arange(len(ids) - count, len(ids)))
        self._cache.where, self._cache.padded = self._to_device(np.concatenate(where)), None
        # 0 keeps all, without a copy.
        keeping = 0 if sum(keep) == len(ids) else self._to_device(np.concatenate(wanted))
        work = packed.Packed(rows, self._views, self._costs, self.device)
        with packed.attending(work):
            logits = self.model(
                input_ids=torch.tensor([ids], device=self.device),
                attention_mask=self._masks.none(self.device),
                position_ids=self._to_device(np.concatenate(positions))[None],
                past_key_values=self._cache,
                use_cache=True,
                **({"logits_to_keep": keeping} if self._keeps_logits else {}),
            ).logits[0]
        self.windows = work.windows
        if not self._keeps_logits and sum(keep) < len(ids):
            logits = logits[keeping]
        return logits[:, : self.description.vocabulary].float()

    def _run_padded(self, texts: Sequence[Text], offsets: Sequence[int], keep: Sequence[int]) -> torch.Tensor:
        sizes = [(len(tokens), start + len(tokens)) for _, start, tokens in texts]
        found: dict[int, torch.Tensor] = {}
        for group in grouped(sizes, self._whole_costs):
            rows = [texts[i] for i in group]
            at = Padded([(offsets[i], texts[i][1], len(texts[i][2])) for i in group], self.device)
            width, most = at.positions.shape[1], max(keep[i] for i in group)
            where = at.positions + torch.tensor([[offsets[i]] for i in group], device=self.device)
            self._cache.where, self._cache.padded = where.flatten()[at.new], at
            ids = torch.tensor([[0] * (width - len(t)) + list(t) for _, _, t in rows], device=self.device)
            logits = self.model(
                input_ids=ids,
                attention_mask=self._masks.make(at),
                position_ids=at.positions,
                past_key_values=self._cache,
                use_cache=True,
                **({"logits_to_keep": max(most, 1)} if self._keeps_logits else {}),
            ).logits
            for row, i in zip(logits, group, strict=True):
                found[i] = row[len(row) - keep[i] :, : self.description.vocabulary]
        return torch.cat([found[i] for i in range(len(texts))]).float()

    def _to_device(self, index: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(index).to(self.device)

    @torch.inference_mode()
    def _measure(self) -> None:
        """Find out what passes and calls cost here, which decides what shares one (see `grouping.py`)."""
        long = min(self.context, 256)
        texts = [(0, 0, [0]), (0, 0, [0] * long)]
        one, many = (seconds(lambda text=text: self._synchronised(self.run, [text], [1])) for text in texts)
        token = max(many - one, 1e-3 * one) / long
        self._whole_costs = Costs(call=one, new=token)
        self.chunk = min(max(round(one / token), SMALLEST_CHUNK), LARGEST_CHUNK)
        if self.packs:
            self._costs = self._attention_costs(min(packed.QUERY, long), long)
        self.trim(0)

    def _attention_costs(self, new: int, seen: int) -> Costs:
        keys = self._store.keys[0]
        heads = self.model.config.get_text_config().num_attention_heads
        query = keys.new_zeros(1, heads, 8 * new, keys.shape[2])

        def attend(count: int, new: int, seen: int, costs: Costs) -> float:
            rows = [packed.Row(i * new, (i + 1) * new, 0, seen) for i in range(count)]
            work = packed.Packed(rows, self._views, costs, self.device)
            line = query[:, :, : count * new]
            return seconds(lambda: self._synchronised(work.attend, line, keys, self._store.values[0], None, None))

        alone, together = Costs(call=0.0, new=1.0), Costs(call=1.0)
        call = attend(1, 1, 1, alone)
        pair = max(attend(1, new, seen, alone) - call, 0.0) / (new * seen)
        gathered = max(attend(8, 2, seen, together) - call - 8 * 2 * seen * pair, 0.0) / (8 * seen)
        return Costs(call, pair, gathered)

    def _synchronised(self, run, *arguments) -> None:
        run(*arguments)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _rows(feed: Feed) -> Iterator[Row]:
    count = len(feed.tokens)
    judged_from = count - len(feed.q) if feed.coupling is Coupling.RESIDUAL else count
    for i in range(feed.score_from, count):
        given = feed.tokens[i + 1] if i + 1 < count else None
        q = feed.q[i + 1 - judged_from] if judged_from <= i + 1 < count else None
        yield Row(feed.start + i + 1, feed.sampling, given, q)
