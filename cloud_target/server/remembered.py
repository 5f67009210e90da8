"""What is remembered of connections by their names, each for as long as it lasts: others may have its name later."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from cloud_target.server.links import Address, place_of

# Names at most, where the system does not tell which connections are gone.
_MOST = 4096
T = TypeVar("T")


@dataclass
class _Of(Generic[T]):
    """One name: what is remembered, and of which connections, None for those that will be there at the next look."""

    value: T
    place: Address | None
    links: frozenset[int] | None = None


class Remembered(Generic[T]):
    """Values by name, as gRPC names connections."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, _Of[T]] = OrderedDict()

    def __contains__(self, peer: str) -> bool:
        return peer in self._of

    def __len__(self) -> int:
        return len(self._of)

    def get(self, peer: str, otherwise: T) -> T:
        """What is remembered."""
        return self._of[peer].value if peer in self._of else otherwise

    def put(self, peer: str, value: T) -> None:
        """Remember it of the connection that has this name now."""
        if there := self._of.get(peer):
            there.value, there.links = value, None
            self._of.move_to_end(peer)
        else:
            self._of[peer] = _Of(value, place_of(peer))
            if len(self._of) > _MOST:
                self._of.popitem(last=False)

    def forget(self, peer: str) -> None:
        """Nothing is remembered of it any more."""
        self._of.pop(peer, None)

    def see(self, there: Mapping[Address, Collection[int]]) -> None:
        """Forget those that are gone.

        Args:
            there: the connections that there are now, by where they come from, as numbers that no others ever have.
        """
        for peer, one in list(self._of.items()):
            if one.place is None:
                continue
            now = frozenset(there.get(one.place, ()))
            one.links = now if one.links is None else one.links & now
            if not one.links:
                del self._of[peer]

    def links(self) -> Iterator[int]:
        """The connections of which something is remembered, as of the last look."""
        for one in self._of.values():
            yield from one.links or ()
