"""A target whose distribution is any function of the text: no torch, no model, a few microseconds a token.

It stands in for the real engine wherever the protocol matters and the model does not. It is also the plain reading of
the rules, one row at a time, that the batched engine is tested against. Like a real cache it holds what it was fed, so
feeding it wrongly gives wrong text or an error, never silent luck.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cloud_target.engine.interface import Description, Feed, Scores, check_feeds
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
        block, step: see `Engine`.

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
    ) -> None:
        self.description = Description("scripted", "scripted", "scripted", vocabulary, "float32")
        self.context, self.block, self.step = context, block, step
        self.capacity = slots * self._blocks(context)
        self.passes = self.fed = 0
        self._script = script
        self._held: dict[int, list[int]] = {}

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
            held[feed.start :] = feed.tokens  # guesses take room until the pass is over
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

    def check_integrity(self) -> None:
        """Raise AssertionError if slots hold more than there is room for."""
        if sum(map(self._blocks, map(len, self._held.values()))) > self.capacity:
            raise AssertionError(f"more than {self.capacity} tokens held")

    @property
    def held(self) -> dict[int, int]:
        """How many tokens each slot holds."""
        return {slot: len(text) for slot, text in self._held.items()}

    def _score(self, feed: Feed) -> Scores:
        text = self._held[feed.slot]
        del text[feed.start + feed.needed :]
        rows = [self._row(text, feed, index) for index in range(feed.score_from, feed.needed)]
        last, follows = feed.needed - 1, feed.follows()
        for index in range(feed.needed, len(feed.tokens)):
            token, its_nll, is_unlikely, *_ = rows[-1]
            if follows[index] == last and feed.tokens[index] == token:
                rows[-1] = token, its_nll, is_unlikely, is_unlikely, its_nll
                text.append(token)
                last = index
                rows.append(self._row(text, feed, len(text) - 1 - feed.start))
        own, own_nll, own_unlikely, unlikely, nll = (np.array(column) for column in zip(*rows, strict=True))
        off_strict = own[:-1] != text[feed.start + feed.score_from + 1 :]
        given = AuditedTokens(off_strict, unlikely[:-1], nll[:-1])
        return Scores(own.astype(np.int64), own_nll, own_unlikely, given, judged=feed.spare)

    def _row(self, text: list[int], feed: Feed, index: int) -> tuple[int, float, bool, bool, float]:
        position = feed.start + index + 1
        logits = self._script(text[:position])
        log_p1 = logits.astype(np.float64) - np.logaddexp.reduce(logits.astype(np.float64))
        entropy = -float(np.exp(log_p1) @ log_p1)
        unlikely = np.exp(log_p1) < min(TYPICAL_EPS, TYPICAL_DELTA * np.exp(-entropy))
        ids = np.argsort(-logits, kind="stable")
        draw = Sampler(feed.sampling).draw(ids, logits[ids], position)
        own = draw.token
        if index + 1 >= feed.needed:
            return own, -log_p1[own], unlikely[own], False, 0.0
        x = feed.tokens[index + 1]
        judged = index + 1 - (feed.needed - len(feed.q))
        if feed.coupling is Coupling.RESIDUAL and judged >= 0:
            p = np.zeros(len(logits))
            p[draw.distribution[0]] = draw.distribution[1]
            own = judge_residual(x, p, feed.q[judged], feed.sampling, position)
        return own, -log_p1[own], unlikely[own], unlikely[x], -log_p1[x]
