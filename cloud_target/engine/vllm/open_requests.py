"""Which of vLLM's requests stay open between the feeds of a text, so that what was read is not read again.

A request that has ended leaves whole pages behind only. An open one (vLLM's streaming input) goes on where it was, to
the token; but it keeps its keys and values, and one of vLLM's places.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass
class _Open:
    """A request.

    Attributes:
        length: how much of its text it has read, or is reading, tokens.
        key: whose it is; it never becomes another's.
        is_busy: whether its answer is awaited.
    """

    name: str
    length: int
    key: str
    is_busy: bool = True


class OpenRequests:
    """Those of a target; not for use in several threads at once.

    vLLM takes no room from a request that rests, even if all others wait for it. So either none rests, or all that are
    open have room together.

    Args:
        most: so many may be open, busy ones among them.
        room: tokens that vLLM's cache has room for.
        page: tokens of a page of it. Whole pages may be others' too, so what is in them is never written over.
        goes_back: whether a request may go on before its end, on its last page; else only at its end.
    """

    def __init__(self, most: int, room: int, page: int, goes_back: bool) -> None:
        self._most, self._pages, self._page, self._goes_back = most, room // page, page, goes_back
        self._of_slot: OrderedDict[int, _Open] = OrderedDict()  # the one that rested longest first
        self._left: dict[str, _Open] = {}
        self._ended: list[str] = []
        self._number = 0

    def take(self, slot: int, start: int, end: int, key: str) -> tuple[str, bool]:
        """A request for a feed, which it is busy with until `rest`.

        Args:
            start, end: positions of the feed; what a slot holds before `start` is the text of its request, too.

        Returns:
            Its name, and whether it goes on; else it is new, and must read the text from its beginning.
        """
        there = self._of_slot.get(slot)
        goes_on = there is not None and not there.is_busy and there.key == key and self._reaches(there.length, start)
        if there is None or not goes_on:
            self.leave(slot)
            self._number += 1
            there = _Open(str(self._number), end, key)
        there.length, there.is_busy = end, True
        self._of_slot[slot] = there
        self._of_slot.move_to_end(slot)
        resting = [number for number, other in self._of_slot.items() if not other.is_busy]
        while resting and not self._all_have_room():
            self.leave(resting.pop(0))
        return there.name, goes_on

    def rest(self, name: str, is_open: bool) -> None:
        """Its answer has come.

        Args:
            is_open: whether vLLM would go on with it.
        """
        if self._left.pop(name, None) is not None:
            if is_open:
                self._ended.append(name)
            return
        for slot, there in self._of_slot.items():
            if there.name == name:
                there.is_busy = False
                if not is_open:
                    del self._of_slot[slot]
                return

    def leave(self, slot: int) -> None:
        """Go on with it no more."""
        there = self._of_slot.pop(slot, None)
        if there is None:
            return
        if there.is_busy:
            self._left[there.name] = there
        else:
            self._ended.append(there.name)

    def ended(self) -> list[str]:
        """Those that vLLM should let go of; each is told once."""
        ended, self._ended = self._ended, []
        return ended

    def _all_have_room(self) -> bool:
        """Whether all that are open have; vLLM may put one more token behind each."""
        there = [*self._of_slot.values(), *self._left.values()]
        return len(there) <= self._most and sum(one.length // self._page + 1 for one in there) <= self._pages

    def _reaches(self, length: int, start: int) -> bool:
        return start == length or (self._goes_back and start < length and start // self._page == length // self._page)
