"""The line for room in the cache: whose turn it is, and whose place is kept while its edge is away."""

from __future__ import annotations

from typing import Generic, TypeVar

from cloud_target.scheduling.round_robin import RoundRobin

T = TypeVar("T")


class Place(Generic[T]):
    """A session's place in the line.

    Attributes:
        key: the session's.
        tenant: whose it is.
        since: when it came, seconds.
        tokens: room that it asks for.
        waiter: who waits there; None while its edge is away.
        until: where it is away, when the place is given up, seconds.
        is_over: the place is not kept when nobody waits there any more.
    """

    def __init__(self, key: bytes, tenant: str, since: float) -> None:
        self.key, self.tenant, self.since = key, tenant, since
        self.tokens = 0
        self.waiter: T | None = None
        self.until = since
        self.is_over = False


class Line(Generic[T]):
    """Places in order of arrival within a tenant, and one after the other between tenants.

    A place is a session's, not a request's: a request that is refused, or whose link breaks, and that comes again finds
    it where it was. So nobody who came later can go past it for ever, however many there are.
    """

    def __init__(self) -> None:
        self._order: RoundRobin[Place[T]] = RoundRobin()
        self._places: dict[bytes, Place[T]] = {}

    def __len__(self) -> int:
        return len(self._order)

    def at(self, key: bytes) -> Place[T] | None:
        """The place of a session, if it has one."""
        return self._places.get(key)

    def join(self, key: bytes, tenant: str, tokens: int, waiter: T, now: float) -> Place[T]:
        """Wait for so much room, at the session's own place if there is one, else behind the others of the tenant."""
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Place(key, tenant, now)
            self._order.add(tenant, place)
        place.tokens, place.waiter, place.is_over = tokens, waiter, False
        return place

    def next(self) -> tuple[Place[T] | None, int]:
        """The first place where somebody waits, and the room that is set aside for those before it, tokens."""
        aside = 0
        for place in self._order:
            if place.waiter is not None:
                return place, aside
            aside += place.tokens
        return None, aside

    def first_of(self, tenant: str) -> Place[T] | None:
        """The first place of a tenant where somebody waits."""
        return next((place for place in self._order if place.tenant == tenant and place.waiter is not None), None)

    def served(self, place: Place[T]) -> None:
        """It has its room; it was the turn of its tenant."""
        del self._places[place.key]
        self._order.take_out(place.tenant, place)

    def give_up(self, place: Place[T]) -> None:
        """It is not wanted any more. If it was its turn, that is over: whoever lets places lapse gains nothing."""
        if self._order.peek() is place:
            self.served(place)
        else:
            del self._places[place.key]
            self._order.discard(place.tenant, place)

    def check_integrity(self) -> None:
        """Raise AssertionError if order and places contradict each other."""
        self._order.check_integrity()
        if {id(place) for place in self._order} != {id(place) for place in self._places.values()}:
            raise AssertionError(f"{len(self._order)} places in order, {len(self._places)} by session")
