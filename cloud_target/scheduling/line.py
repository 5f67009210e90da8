"""The line for room in the cache: whose turn it is, and whose place is kept while its edge is away."""

from __future__ import annotations

from typing import Generic, TypeVar

from cloud_target.scheduling.ranks import Ranks
from cloud_target.scheduling.round_robin import RoundRobin

T = TypeVar("T")


class Place(Generic[T]):
    """A session's place in the line. Only the line changes who waits there and what it asks for.

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
        self._ranks: dict[str, Ranks[Place[T]]] = {}  # by tenant, the same places; those count where somebody waits
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
            self._ranks.setdefault(tenant, Ranks()).add(place, tokens, True)
        else:
            self._ranks[tenant].change(place, tokens, True)
        place.tokens, place.waiter, place.is_over = tokens, waiter, False
        return place

    def leave(self, place: Place[T]) -> None:
        """Nobody waits there now; it stays the session's."""
        self._ranks[place.tenant].change(place, place.tokens, False)
        place.waiter = None

    def next(self) -> tuple[Place[T] | None, int]:
        """The first place where somebody waits, and the room that is set aside for those before it, tokens.

        Takes logarithmic time for each tenant that may stand before it: mostly for the first one alone.
        """
        first, row = None, 0  # the first places of all tenants are row 0
        for tenant in self._order.tenants():
            found = self._ranks[tenant].first()
            if found is not None and (first is None or found[1] < row):
                first, row = found
                if row == 0:
                    break
        aside, row = 0, len(self) if first is None else row + 1
        for tenant in self._order.tenants():
            if first is not None and tenant == first.tenant:
                row -= 1  # of those whose turn comes later, no place in its own row is before it
            if row == 0:
                break
            aside += self._ranks[tenant].weight_of_first(row)
        return first, aside

    def first_of(self, tenant: str) -> Place[T] | None:
        """The first place of a tenant where somebody waits."""
        found = self._ranks[tenant].first() if tenant in self._ranks else None
        return None if found is None else found[0]

    def served(self, place: Place[T]) -> None:
        """It has its room; it was the turn of its tenant."""
        self._forget(place)
        self._order.take_out(place.tenant, place)

    def give_up(self, place: Place[T]) -> None:
        """It is not wanted any more. If it was its turn, that is over: whoever lets places lapse gains nothing."""
        if self._order.peek() is place:
            self.served(place)
        else:
            self._forget(place)
            self._order.discard(place.tenant, place)

    def _forget(self, place: Place[T]) -> None:
        place.waiter = None
        del self._places[place.key]
        ranks = self._ranks[place.tenant]
        ranks.remove(place)
        if not len(ranks):
            del self._ranks[place.tenant]

    def check_integrity(self) -> None:
        """Raise AssertionError if order and places contradict each other."""
        self._order.check_integrity()
        places = list(self._order)
        if {id(place) for place in places} != {id(place) for place in self._places.values()}:
            raise AssertionError(f"{len(places)} places in order, {len(self._places)} by session")
        if {tenant: len(ranks) for tenant, ranks in self._ranks.items()} != self._order.counts():
            raise AssertionError("the tenants' places are not those in order")
        first = next((place for place in places if place.waiter is not None), None)
        before = places if first is None else places[: places.index(first)]
        if self.next() != (first, sum(place.tokens for place in before)):
            raise AssertionError("the first in the line is not the first one that waits")
