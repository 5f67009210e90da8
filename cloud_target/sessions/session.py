"""One text as the cloud knows it: its tokens, a hash of every prefix, and how much of it the cache holds."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from cloud_target.engine.interface import Feed, Scores
from cloud_target.sessions.ahead import Ahead
from shared import prefix_hash as prefix
from shared.config import Sampling


def session_key(tenant: str, session_id: bytes) -> bytes:
    """What a tenant's session is known by. Ids have one length, so no two tenants can meet."""
    return session_id + tenant.encode()


class Session:
    """One text and how much of it the cache holds.

    Attributes:
        slot: its slot in the engine.
        tenant: whose it is.
        adapter: the name of that which the target reads it with; "" for none.
        ids: the text as far as it is known, the target's own last token included.
        cached: how many of them the slot holds, from the first on, where they belong; an own last token is not fed
            until something follows it.
        allocated: tokens that the slot may hold.
    """

    def __init__(self, slot: int, tenant: str = "", adapter: str = "") -> None:
        self.slot, self.tenant, self.adapter = slot, tenant, adapter
        self.ids = array("I")
        self.cached = self.allocated = 0
        self._hashes = array("Q", [0])
        self._ahead: Ahead | None = None

    @property
    def prefix_hash(self) -> int:
        """The hash of all of the text that is known."""
        return self._hashes[-1]

    @property
    def held(self) -> int:
        """Tokens that the slot holds, those included that the text may yet come to."""
        return self.cached if self._ahead is None else max(self.cached, self._ahead.end)

    def hash_of(self, length: int) -> int:
        """The hash of the first tokens of the text."""
        return self._hashes[length]

    def matches(self, position: int, prefix_hash: int) -> bool:
        """Whether the text is known up to `position` and hashes to `prefix_hash` there."""
        return position <= len(self.ids) and self._hashes[position] == prefix_hash

    def agrees(self, position: int, ids: Sequence[int]) -> int:
        """Where the text with `ids` from `position` on parts from the known one, or where either ends."""
        known = self.ids[position : position + len(ids)]
        if known == array("I", ids[: len(known)]):
            return position + len(known)
        same = next((i for i, (a, b) in enumerate(zip(known, ids, strict=False)) if a != b), len(known))
        return position + same

    def holds(self, ids: Sequence[int]) -> int:
        """How many of the first tokens of a text the slot holds."""
        return min(self.cached, self.agrees(0, ids))

    def hold(self, position: int) -> None:
        """Say that the slot holds the known text up to `position` and no more.

        Before something is written there, this forgets what it replaces; after it was written, it keeps it.
        """
        self.cached = position

    def rewrite(self, position: int, ids: Sequence[int], cached: int) -> None:
        """Replace the text from `position` on; afterwards the slot holds the first `cached` tokens."""
        same = self.agrees(position, ids)
        del self.ids[same:]
        del self._hashes[same + 1 :]
        for token in ids[same - position :]:
            self.ids.append(token)
            self._hashes.append(prefix.extend(self._hashes[-1], (token,)))
        self.cached = cached

    def kept(self, end: int) -> tuple[int, ...]:
        """Where in the slot those tokens of the text before position `end` are that were read ahead. What else was read
        ahead is forgotten, for the next feed writes there."""
        places, position = [], self.cached
        while self._ahead is not None and position < end:
            if (place := self._ahead.place(self._hashes[position + 1])) is None:
                break
            places.append(place)
            position += 1
        self.forget_ahead()
        return tuple(places)

    def keep_ahead(self, feed: Feed, scores: Scores) -> None:
        """A feed was read: keep what it brought, guesses and all."""
        self._ahead = Ahead.of(feed, scores, self._hashes[feed.start])

    def forget_ahead(self) -> None:
        """The slot holds no more than the text."""
        self._ahead = None

    def known_scores(self, begin: int, end: int, sampling: Sampling, grammar: object = None) -> Scores | None:
        """The scores of the text's tokens at ``[begin, end)``, if they were read ahead under the same terms."""
        if self._ahead is None:
            return None
        return self._ahead.scores_of(self._hashes[begin + 1 : end + 1], sampling, grammar)

    def check_integrity(self) -> None:
        """Raise AssertionError if the parts contradict each other."""
        if not 0 <= self.cached <= len(self.ids):
            raise AssertionError(f"{self.cached} tokens cached of {len(self.ids)}")
        if len(self._hashes) != len(self.ids) + 1 or self._hashes[-1] != prefix.extend(0, self.ids):
            raise AssertionError("the prefix hashes are not those of the text")
