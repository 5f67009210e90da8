"""A target whose distribution is any function of the text: no torch, no model, a few microseconds a token.

It stands in for the real engine wherever the protocol matters and the model does not. It is also the plain reading of
the rules, one row at a time, that the batched engine is tested against. Like a real cache it holds what it was fed, so
feeding it wrongly gives wrong text or an error, never silent luck.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer

from cloud_target.engine.interface import FORBIDDEN, Adapter, Description, Feed, Scores, Vitals, check_feeds
from shared.config import TYPICAL_DELTA, TYPICAL_EPS, Coupling
from shared.coupling import judge_residual
from shared.sampling import Sampler
from shared.wire.codec import AuditedTokens

# Ids of a non-empty text -> the next token's logits, ``float32 [vocabulary]``.
Script = Callable[[Sequence[int]], np.ndarray]


def random_script(vocabulary: int, seed: int = 0, memory: int = 3, spread: float = 2.0) -> Script:
    """A script of logits that look random and hang on the last `memory` tokens and on whether the length is even."""

    def logits(text: Sequence[int]) -> np.ndarray:
        recent = [seed, len(text) % 2, *text[-memory:]]
        return np.random.default_rng(recent).normal(0.0, spread, vocabulary).astype(np.float32)

    return logits


class ScriptedEngine:
    """An `Engine` that follows a script.

    Args:
        script: says what it thinks.
        vocabulary: ids are below it.
        slots: so many texts of full length have room.
        context: longest text in tokens.
        block, step, tokenizer: see `Engine`.
        adapters: what it thinks with each of them, by name.

    Attributes:
        passes: how often `forward` ran.
        fed: how many tokens it has read.
    """

    token_bytes = 8
    chunk = 64
    branches = True

    def __init__(
        self,
        script: Script,
        vocabulary: int,
        slots: int = 4,
        context: int = 128,
        block: int = 8,
        step: float = 0.0,
        tokenizer: Tokenizer | None = None,
        adapters: Mapping[str, Script] | None = None,
    ) -> None:
        self._adapted = adapters or {}
        known = tuple(Adapter(name, f"scripted with {name}") for name in self._adapted)
        who = Description("scripted", "scripted", "scripted", vocabulary, "float32", repeatable=True, adapters=known)
        self.description = who
        self.context, self.block, self.step, self.tokenizer = context, block, step, tokenizer
        self.capacity = slots * self._blocks(context)
        self.passes = self.fed = 0
        self._script = script
        self._held: dict[int, list[int]] = {}
        self._read_with: dict[int, str] = {}

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.block) * self.block

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        """Read all feeds and score their rows.

        Raises:
            ValueError: a feed that the caller must not make, that leaves a gap in its slot, or that finds no room.
        """
        check_feeds(self, feeds)
        for feed in feeds:
            held = self._held.setdefault(feed.slot, [])
            if feed.start > len(held):
                raise ValueError(f"slot {feed.slot} holds {len(held)} tokens, fed from {feed.start}")
            if feed.start and self._read_with[feed.slot] != feed.adapter:
                raise ValueError(f"slot {feed.slot} was read with another adapter")
            self._read_with[feed.slot] = feed.adapter
            held[feed.start - len(feed.kept) : feed.start] = [held[place] for place in feed.kept]
            held[feed.start :] = feed.tokens
        if (used := sum(map(self._blocks, map(len, self._held.values())))) > self.capacity:
            raise ValueError(f"{used} tokens do not fit in a cache of {self.capacity}")
        self.passes += 1
        self.fed += sum(len(feed.tokens) for feed in feeds)
        return [self._score(feed) for feed in feeds]

    def trim(self, slot: int, tokens: int = 0) -> None:
        """Keep only the first tokens of a slot, and nothing of a slot with 0."""
        text = self._held.pop(slot, [])[:tokens]
        if text:
            self._held[slot] = text

    def copy(self, source: int, target: int, count: int) -> None:
        """Let a slot begin with the first `count` tokens of another.

        Raises:
            ValueError: the other holds less.
        """
        if len(self._held.get(source, ())) < count:
            raise ValueError(f"slot {source} cannot lend {count} tokens")
        self._held[target] = self._held[source][:count]
        self._read_with[target] = self._read_with.get(source, "")

    def vitals(self) -> Vitals:
        """See `Engine.vitals`."""
        return Vitals()

    def check_integrity(self) -> None:
        """Raise AssertionError if slots hold more than there is room for."""
        if sum(map(self._blocks, map(len, self._held.values()))) > self.capacity:
            raise AssertionError(f"more than {self.capacity} tokens held")

    @property
    def held(self) -> dict[int, int]:
        """How many tokens each slot holds."""
        return {slot: len(text) for slot, text in self._held.items()}

    def _score(self, feed: Feed) -> Scores:
        before, follows = self._held[feed.slot][: feed.start], feed.follows()
        paths: list[list[int]] = []
        for token, parent in zip(feed.tokens, follows, strict=True):
            paths.append([*(paths[parent] if parent >= 0 else before), token])
        indices = range(feed.score_from, len(feed.tokens))
        script = self._adapted.get(feed.adapter, self._script)
        logits = [script(paths[index]) for index in indices]
        if feed.masks is not None:
            for row, bits in enumerate(feed.masks.rows(feed)):
                allowed = np.unpackbits(bits, count=len(logits[row]), bitorder="little") > 0
                logits[row] = np.where(allowed, logits[row], np.float32(FORBIDDEN))
        rows = [_Row(of_row, paths[index], feed, index) for of_row, index in zip(logits, indices, strict=True)]
        given = [(rows[follows[index] - feed.score_from], feed.tokens[index]) for index in indices[1:]]
        return Scores(
            np.array([row.own for row in rows]),
            np.array([row.nll(row.own) for row in rows]),
            np.array([row.is_unlikely(row.own) for row in rows]),
            AuditedTokens(
                np.array([row.own != x for row, x in given], dtype=bool),
                np.array([row.is_unlikely(x) for row, x in given], dtype=bool),
                np.array([row.nll(x) for row, x in given]),
            ),
            guesses=feed.spare,
        )


class _Row:
    """What the target thinks behind one token of a feed, and its own token there."""

    def __init__(self, logits: np.ndarray, text: Sequence[int], feed: Feed, index: int) -> None:
        position = len(text)
        wide = logits.astype(np.float64)
        self._log_p1 = wide - np.logaddexp.reduce(wide)
        entropy = -float(np.exp(self._log_p1) @ self._log_p1)
        self._least = min(TYPICAL_EPS, TYPICAL_DELTA * np.exp(-entropy))
        ids = np.argsort(-logits, kind="stable")
        draw = Sampler(feed.sampling).draw(ids, logits[ids], position)
        self.own = draw.token
        judged = index + 1 - (feed.needed - len(feed.q))
        if feed.coupling is Coupling.RESIDUAL and 0 <= judged < len(feed.q):
            p = np.zeros(len(logits))
            p[draw.distribution[0]] = draw.distribution[1]
            self.own = judge_residual(feed.tokens[index + 1], p, feed.q[judged], feed.sampling, position)

    def nll(self, token: int) -> float:
        return -self._log_p1[token]

    def is_unlikely(self, token: int) -> bool:
        return np.exp(self._log_p1[token]) < self._least
