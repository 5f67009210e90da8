"""How many guesses a pass judges: as many as it has room left for, in equal shares."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_target.engine.interface import Feed


def share_out(feeds: Sequence[Feed], room: int) -> list[Feed]:
    """The feeds of one pass with at most `room` guesses, which are the first of each."""
    cut = list(feeds)
    # Whoever has few guesses leaves the rest of its share to the others.
    wanting = sorted((i for i, feed in enumerate(feeds) if feed.spare), key=lambda i: feeds[i].spare)
    for done, i in enumerate(wanting):
        guesses = min(feeds[i].spare, room // (len(wanting) - done))
        cut[i] = feeds[i].with_guesses(guesses)
        room -= guesses
    return cut
