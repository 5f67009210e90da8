"""Strangers' connections give way where few places are left: else whoever opens as many as there may be, and says
nothing, would keep out every device for as long as he likes."""

from __future__ import annotations

from collections.abc import Callable, Collection

from cloud_target.server.links import Link

# Of the places that devices leave, the share that strangers may keep; the rest is for whoever comes. A device is a
# stranger, too, until its token is there.
_SHARE = 0.75


class GivingWay:
    """Resets the connections of strangers that are there for longest. Use inside one event loop.

    Args:
        places: connections that there may be at once.
        gave_way: told the name of each connection that is reset.
    """

    def __init__(self, places: int, gave_way: Callable[[str], None]) -> None:
        self._places, self._gave_way = places, gave_way
        self._there: dict[int, None] = {}  # numbers of strangers' connections as of the last look, the first one first

    def see(self, links: Collection[Link], known: Collection[int]) -> None:
        """Look at all connections, now and then.

        Args:
            links: all that there are.
            known: the numbers of those that are no strangers'.
        """
        strangers = {link.number: link for link in links if link.number not in known}
        stayed = [number for number in self._there if number in strangers]
        self._there = dict.fromkeys((*stayed, *strangers))
        left = self._places - (len(links) - len(strangers))
        # One at least, so that the last place can be had by a device that is about to show its token.
        too_many = len(strangers) - max(1, int(_SHARE * left))
        for number in list(self._there)[: max(0, too_many)]:
            # At once: one that is only not heard any more would keep its place.
            if strangers[number].reset():
                self._gave_way(strangers[number].name)
