"""The loops while the target is away: the device goes on alone.

Where the device leads, what it writes then is settled, and audited when the target is back. Where the target leads, it
is provisional, and the target's own text takes its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from edge_client.decoding.decoder import reveal
from edge_client.decoding.drafter import Drafter
from edge_client.decoding.preview import Preview
from edge_client.decoding.text import Event, Origin, Text
from edge_client.target.absence import Absence


def write_alone(text: Text, drafter: Drafter, absence: Absence | None = None) -> Iterator[Event]:
    """Write `text` until it is finished, or the target answers again; no target is waited for."""
    while not text.finished and not (absence is not None and absence.is_over()):
        yield text.show(drafter.guess(text.sequence), Origin.ALONE)


def hold_out(
    text: Text, drafter: Drafter, absence: Absence, end_ids: Collection[int], preview: Preview | None = None
) -> Iterator[Event]:
    """Settle nothing until the target answers again, and show meanwhile what the draft thinks will come.

    Where the target is away for good, that becomes the text.

    Args:
        text: nothing of it is held; nor is there in the end.
        preview: shows drafted tokens, as far as they may reach; None lets the reader wait.
    """
    while not text.finished and not absence.is_over():
        if absence.is_for_good:
            for token in text.sequence[text.shown :]:
                if not text.finished:
                    yield from reveal(text, token, Origin.ALONE, preview)
            text.drop_held()
            yield from write_alone(text, drafter)
        elif preview is not None and _may_follow(text, drafter, end_ids):
            text.hold(drafter.guess(text.sequence))
            yield from preview.follow(text.sequence[text.shown :], waits=False)
        else:
            if preview is not None:
                yield from preview.follow(text.sequence[text.shown :])
            absence.nap()
    text.drop_held()
    drafter.rewind(text.shown)


def _may_follow(text: Text, drafter: Drafter, end_ids: Collection[int]) -> bool:
    """Whether a token may stand behind those that are held."""
    ends = text.held > 0 and text.sequence[-1] in end_ids
    return text.held < text.remaining and not ends and len(text.sequence) < drafter.context
