"""Sends connections away: nothing that they still say is heard, and after some seconds they are reset.

Whoever is reset knows it, and comes again at once: to shake hands, to be listened to for as long as everybody is, and
to be reset. Whoever only hears nothing waits for an answer, and costs nothing meanwhile.
"""

from __future__ import annotations

import asyncio

from cloud_target.server.links import Link


class Silencer:
    """Use inside one event loop.

    Args:
        seconds: until they are reset; 0 resets them at once, as is done where the system can do nothing else.
        most: connections that are silent together; of more, the first one is reset sooner. Those take descriptors and
            places, though their peers may have gone long ago.
    """

    def __init__(self, seconds: float, most: int = 256) -> None:
        self._seconds, self._most = seconds, most
        self._silent: dict[int, Link] = {}  # by number, the first one first

    def send_away(self, link: Link) -> bool:
        """Whether that was still there, and had not been sent away yet."""
        if link.number in self._silent:
            return False
        if not (self._seconds and link.silence()):
            return link.reset()
        self._silent[link.number] = link
        if len(self._silent) > self._most:
            self._reset(next(iter(self._silent)))
        asyncio.get_running_loop().call_later(self._seconds, self._reset, link.number)
        return True

    def close(self) -> None:
        """Reset all that are silent."""
        for number in list(self._silent):
            self._reset(number)

    def _reset(self, number: int) -> None:
        if link := self._silent.pop(number, None):
            link.reset()
