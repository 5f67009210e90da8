"""A target whose next token is a hash of all that stands before it, and whose passes last as a stated device's.

A token anywhere in a cache that is not the device's own changes every answer behind it, so a device that knows the rule
sees whether anything is silently wrong. Nothing is computed, so many replicas fit on few cores.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.fleet.device import Device
from cloud_target.engine.interface import Description, Feed, Scores, Vitals, check_feeds
from shared import prefix_hash
from shared.wire.codec import AuditedTokens

VOCABULARY, CONTEXT = 32_000, 512
_BLOCK = 16


def own_token(hash_: int) -> int:
    """The target's token after the text of that hash (`shared/prefix_hash.py`)."""
    return prefix_hash.mix(hash_ ^ VOCABULARY) % VOCABULARY


class HashEngine:
    """An `Engine` of that kind.

    Args:
        device: says how long a pass lasts.
        texts: so many of full length have room.
        sleep, clock: time.

    Attributes:
        passes, read, busy: how many there were, tokens in them, and seconds that they took, late waking included.
    """

    token_bytes = 8
    block = _BLOCK
    branches = False
    context = CONTEXT
    tokenizer = None

    def __init__(
        self,
        device: Device,
        texts: int,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.description = Description("fleet", "fleet", "fleet", VOCABULARY, "float32", repeatable=True)
        self.capacity, self.chunk, self.step = texts * CONTEXT, device.chunk, device.seconds(1, 1)
        self.passes, self.read, self.busy = 0, 0, 0.0
        self._device, self._sleep, self._clock = device, sleep, clock
        self._hashes: dict[int, array[int]] = {}  # of each slot; of its text up to each token

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        """Read all feeds and score their rows.

        Raises:
            ValueError: a feed that the caller must not make, or that leaves a gap in its slot.
        """
        begin = self._clock()
        check_feeds(self, feeds)
        found = [self._scores(feed) for feed in feeds]
        tokens = sum(len(feed.tokens) for feed in feeds)
        self._sleep(max(self._device.seconds(tokens, len(feeds)) - (self._clock() - begin), 0.0))
        self.passes, self.read = self.passes + 1, self.read + tokens
        self.busy += self._clock() - begin
        return found

    def trim(self, slot: int, tokens: int = 0) -> None:
        """Keep only the first tokens of a slot, and nothing of a slot with 0."""
        if tokens == 0:
            self._hashes.pop(slot, None)
        elif slot in self._hashes:
            del self._hashes[slot][tokens:]

    def copy(self, source: int, target: int, count: int) -> None:
        """Let a slot begin with the first `count` tokens of another."""
        self._hashes[target] = self._hashes[source][:count]

    def vitals(self) -> Vitals:
        """See `Engine.vitals`."""
        return Vitals()

    def check_integrity(self) -> None:
        """See `Engine.check_integrity`."""

    def _scores(self, feed: Feed) -> Scores:
        hashes = self._hashes.setdefault(feed.slot, array("Q"))
        if feed.start > len(hashes):
            raise ValueError(f"slot {feed.slot} holds {len(hashes)} tokens, fed from {feed.start}")
        # Guesses that stood are where they were read: each follows the one before, for there are no branches.
        del hashes[feed.start :]
        last = hashes[-1] if hashes else 0
        for token in feed.tokens:
            last = prefix_hash.extend(last, (token,))
            hashes.append(last)
        own = [own_token(each) for each in hashes[feed.start + feed.score_from :]]
        given = np.array([a != b for a, b in zip(own, feed.tokens[feed.score_from + 1 :], strict=False)], dtype=bool)
        never = np.zeros(len(own), dtype=bool)
        nll = np.ones(len(own))
        audit = AuditedTokens(given, never[1:], nll[1:])
        return Scores(np.array(own), nll, never, audit, guesses=feed.spare)
