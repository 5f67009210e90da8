"""What the cloud remembers of the edges' texts: which tokens sit in which slot.

Nothing here is precious. The edge owns the text, so a session can be dropped at any moment; the next request is
answered with a resync, and the edge sends the text again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from cloud_target.service.statuses import TargetBusy
from shared import prefix


class Session:
    """One text and how much of it the slot holds.

    Attributes:
        slot: the cache slot.
        ids: the text as far as it is known, the target's own last token included.
        cached: how many of them the slot holds; an own last token is not fed until something follows it.
    """

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.ids: list[int] = []
        self.cached = 0
        self._hashes = [0]

    def matches(self, position: int, prefix_hash: int) -> bool:
        """Whether the text is known up to `position` and hashes to `prefix_hash` there."""
        return position <= len(self.ids) and self._hashes[position] == prefix_hash

    def forget_cache(self, position: int) -> None:
        """Say that the slot holds nothing from `position` on, before something else is written there."""
        self.cached = min(self.cached, position)

    def rewrite(self, position: int, ids: Iterable[int], cached: int) -> None:
        """Replace the text from `position` on; afterwards the slot holds the first `cached` tokens."""
        del self.ids[position:]
        del self._hashes[position + 1 :]
        for token in ids:
            self.ids.append(token)
            self._hashes.append(prefix.extend(self._hashes[-1], (token,)))
        self.cached = cached

    def check_integrity(self) -> None:
        """Raise AssertionError if the parts contradict each other."""
        if not 0 <= self.cached <= len(self.ids):
            raise AssertionError(f"{self.cached} tokens cached of {len(self.ids)}")
        if len(self._hashes) != len(self.ids) + 1 or self._hashes[-1] != prefix.extend(0, self.ids):
            raise AssertionError("the prefix hashes are not those of the text")


class SessionTable:
    """Sessions by id on a limited number of slots; the one idle for longest makes room for a new one."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()  # the most recently used last
        self._free = list(range(slots))
        self._in_use: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def take(self, session_id: bytes) -> Session:
        """The session, made if unknown, kept from eviction until `put_back`.

        Raises:
            TargetBusy: every slot is in use at this moment.
        """
        if session_id in self._in_use:
            raise ValueError("the session is taken already")
        if session_id not in self._sessions:
            self._sessions[session_id] = Session(self._free_slot())
        self._sessions.move_to_end(session_id)
        self._in_use[session_id] = self._sessions[session_id]
        return self._sessions[session_id]

    def put_back(self, session_id: bytes) -> None:
        """End the use that `take` began; a session released meanwhile goes now."""
        session = self._in_use.pop(session_id)
        if session_id not in self._sessions:
            self._free.append(session.slot)

    def release(self, session_id: bytes) -> None:
        """Forget a session; its slot is free at once, or when the present use ends. Unknown ones are no error."""
        session = self._sessions.pop(session_id, None)
        if session is not None and session_id not in self._in_use:
            self._free.append(session.slot)

    def _free_slot(self) -> int:
        if not self._free:
            idle = next((session_id for session_id in self._sessions if session_id not in self._in_use), None)
            if idle is None:
                raise TargetBusy(f"all {self.slots} slots of the target are busy; try again in a moment")
            self.release(idle)
        return self._free.pop()

    def check_integrity(self) -> None:
        """Raise AssertionError if a slot is lost or held twice, or a session contradicts itself."""
        held = {id(session): session for session in (*self._sessions.values(), *self._in_use.values())}
        slots = [*self._free, *(session.slot for session in held.values())]
        if sorted(slots) != list(range(self.slots)):
            raise AssertionError(f"slots {sorted(slots)} instead of each of {self.slots} once")
        for session in held.values():
            session.check_integrity()
