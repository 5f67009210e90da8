"""What the cloud remembers of the edges' texts, and how much of the cache each may have.

Nothing here is precious. The edge owns the text, so a session can be dropped at any moment; the next request is
answered with a resync, and the edge sends the text again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import count, islice

from cloud_target.engine.interface import Engine
from cloud_target.sessions.prefix_caching import longest_prefix
from cloud_target.sessions.session import Session
from cloud_target.telemetry.observer import NOBODY, Observer
from shared.errors import TargetBusy

# Sessions of a tenant, the most recent ones, whose beginning a new text is compared with.
COMPARED = 64


class SessionTable:
    """Sessions by id in a limited cache; those idle for longest make room for others.

    A session lasts as long as its cache: without one nothing of it is kept, so memory is bounded by the cache.

    Args:
        engine: whose cache it is.
        do: runs a change of the cache before the engine's next pass, and if that fails, what is given with it; by
            default at once.
        observer: hears of allocations and evictions.
        prefix_caching: let texts of one tenant that begin alike share the reading of that beginning. Never across
            tenants: how soon an answer comes would tell what others have written.
    """

    def __init__(
        self,
        engine: Engine,
        do: Callable[[Callable[[], None], Callable[[], None]], None] = lambda change, failed: change(),
        observer: Observer = NOBODY,
        prefix_caching: bool = True,
    ) -> None:
        self._engine, self._do, self._observer, self._prefix_caching = engine, do, observer, prefix_caching
        self._sessions: dict[bytes, Session] = {}
        self._in_use: dict[bytes, Session] = {}
        self._idle: OrderedDict[bytes, Session] = OrderedDict()  # those not in use; idle for longest first
        self._idle_room = 0  # tokens that these are allocated
        self._tenants: dict[str, OrderedDict[bytes, Session]] = {}  # the same sessions, the most recently used last
        self._slots = count()
        self.used = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, session_id: bytes, adapter: str | None = None) -> Session | None:
        """The session, if it is known.

        Args:
            adapter: if it is given, only one that is read with that.
        """
        session = self._sessions.get(session_id)
        return session if session and adapter in (None, session.adapter) else None

    def grows(self, session_id: bytes, tokens: int) -> bool:
        """Whether the session needs more room than it has for a text of so many tokens."""
        known = self._sessions.get(session_id)
        return self._blocks(tokens) > (known.allocated if known else 0)

    def missing(self, session_id: bytes, tokens: int) -> int:
        """How much room, tokens, sessions in use keep from one that is idle and wants so many; 0 or less where none."""
        known = self._sessions.get(session_id)
        wanted = max(self._blocks(tokens), known.allocated if known else 0)
        return wanted + self.used - self._idle_room - self._engine.capacity

    def make_free(self, session_id: bytes, tokens: int) -> None:
        """Evict idle sessions for one that waits for room for so many tokens, as far as there are any."""
        known = self._sessions.get(session_id)
        self._evict(self._lacking(known, tokens), known)

    def take(self, session_id: bytes, tokens: int = 0, tenant: str = "", aside: int = 0, adapter: str = "") -> Session:
        """The session, made if unknown, kept from eviction until `put_back`.

        Args:
            tokens: so long may its text become meanwhile; there will be room for that.
            tenant: whose it is.
            aside: tokens for which there must be room afterwards, if all idle sessions went.
            adapter: the name of that which its text is read with; if it was another one, all of it is forgotten.

        Raises:
            TargetBusy: sessions in use at this moment leave too little room.
        """
        if session_id in self._in_use:
            raise ValueError("the session is taken already")
        if self.get(session_id, adapter) is None:
            self.release(session_id)
        session = self._sessions.get(session_id) or Session(next(self._slots), tenant, adapter)
        self._allocate(session_id, session, tokens, aside)
        self._sessions[session_id] = self._in_use[session_id] = session
        recent = self._tenants.setdefault(tenant, OrderedDict())
        recent[session_id] = session
        recent.move_to_end(session_id)
        self._observe()
        return session

    def reuse_prefix(self, session: Session, ids: Sequence[int]) -> None:
        """Let a session that is about to read `ids` from the start have what another of its tenant has read already
        with the same adapter; the session must have room for it."""
        if not self._prefix_caching:
            return
        recent = islice(reversed(self._tenants[session.tenant].values()), COMPARED)
        alike = (other for other in recent if other.adapter == session.adapter)
        found = longest_prefix(session, ids, alike, self._engine.block)
        if found is not None:
            self._do(found.copy(self._engine), lambda: self._forget(session, found.source))
            session.forget_ahead()
            session.rewrite(0, ids[: found.tokens], cached=found.tokens)

    def widen(self, session: Session, tokens: int) -> None:
        """Let a session that is in use have room for so many tokens, as far as nobody else has it."""
        free = self._engine.capacity - self.used
        self._resize(session, min(max(self._blocks(tokens), session.allocated), session.allocated + free))

    def put_back(self, session_id: bytes) -> None:
        """End the use that `take` began; room that was not needed, and a session without cache, go now."""
        session = self._in_use.pop(session_id)
        if self._sessions.get(session_id) is not session:
            self._resize(session, 0)
        elif session.cached == 0:
            self._drop(session_id)
        else:
            self._resize(session, session.held)
            self._idle[session_id] = session
            self._idle_room += session.allocated
        self._observe()

    def release(self, session_id: bytes) -> None:
        """Forget a session; its room is free at once, or when the present use ends. Unknown ones are no error."""
        if session_id in self._sessions:
            self._drop(session_id)
            self._observe()

    def clear(self) -> None:
        """Forget all sessions."""
        for session_id in list(self._sessions):
            self.release(session_id)

    def _forget(self, *sessions: Session) -> None:
        """A change of their cache failed, so what that holds may not be what is known of them."""
        for session_id in [key for key, known in self._sessions.items() if known in sessions]:
            self.release(session_id)

    def _drop(self, session_id: bytes) -> None:
        session = self._sessions.pop(session_id)
        recent = self._tenants[session.tenant]
        del recent[session_id]
        if not recent:
            del self._tenants[session.tenant]
        self._leave_idle(session_id)
        if session_id not in self._in_use:
            self._resize(session, 0)

    def _leave_idle(self, session_id: bytes) -> None:
        session = self._idle.pop(session_id, None)
        self._idle_room -= session.allocated if session else 0

    def _allocate(self, session_id: bytes, session: Session, tokens: int, aside: int) -> None:
        """Take a session out of the idle ones, and grow what it is allocated at the cost of those idle for longest."""
        lacking = self._lacking(session, tokens)
        others = self._idle_room - (session.allocated if session_id in self._idle else 0)
        if lacking + self._blocks(aside) > others and self._blocks(tokens) > session.allocated:
            raise TargetBusy("the target's memory is full of texts that are being worked on; try again in a moment")
        self._leave_idle(session_id)
        if lacking > 0:
            self._evict(lacking, session)
        self._resize(session, max(tokens, session.allocated))

    def _lacking(self, session: Session | None, tokens: int) -> int:
        """How much room, tokens, idle sessions must leave for one that wants so many; 0 or less where none."""
        allocated = session.allocated if session else 0
        return self.used + max(self._blocks(tokens) - allocated, 0) - self._engine.capacity

    def _evict(self, tokens: int, besides: Session | None) -> None:
        """Evict those that are idle for longest until they have left so much room, or none is left."""
        idle = []
        for session_id, other in self._idle.items():
            if tokens <= 0:
                break
            if other is not besides:
                idle.append(session_id)
                tokens -= other.allocated
        for session_id in idle:
            self._drop(session_id)
        if idle:
            self._observer.evicted(len(idle))

    def _resize(self, session: Session, tokens: int) -> None:
        allocated = self._blocks(tokens)
        if allocated < session.allocated:
            engine, slot = self._engine, session.slot
            self._do(lambda: engine.trim(slot, tokens), lambda: self._forget(session))
        self.used += allocated - session.allocated
        session.allocated = allocated

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self._engine.block) * self._engine.block

    def _observe(self) -> None:
        size = self._engine.token_bytes
        self._observer.kept(len(self._sessions), self.used * size, self._engine.capacity * size)

    def check_integrity(self) -> None:
        """Raise AssertionError if memory is lost or given out twice, or a session contradicts itself."""
        held = {id(session): session for session in (*self._sessions.values(), *self._in_use.values())}
        if self.used != sum(session.allocated for session in held.values()) or self.used > self._engine.capacity:
            raise AssertionError(f"{self.used} tokens of allocations counted, of {self._engine.capacity}")
        if len({session.slot for session in held.values()}) != len(held):
            raise AssertionError("two sessions share a slot")
        by_tenant = {key: session for recent in self._tenants.values() for key, session in recent.items()}
        if by_tenant != self._sessions:
            raise AssertionError("the sessions by tenant are not the sessions")
        if dict(self._idle) != {key: session for key, session in self._sessions.items() if key not in self._in_use}:
            raise AssertionError("the idle sessions are not those that nobody works on")
        if self._idle_room != sum(session.allocated for session in self._idle.values()):
            raise AssertionError(f"{self._idle_room} tokens counted of what is idle")
        for session in held.values():
            session.check_integrity()
            if session.held > session.allocated:
                raise AssertionError(f"{session.held} tokens held in an allocation of {session.allocated}")
