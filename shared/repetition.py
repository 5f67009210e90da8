"""When a text runs in circles: a token that goes on with a repetition, found from the token ids alone."""

from __future__ import annotations

from collections.abc import Sequence

# No longer stretch of tokens is looked at: what comes round after more of them reads as a refrain.
LONGEST = 32
# So many tokens in a row, with x, must stand as they stood one period before: short periods occur by themselves.
SHORTEST = 4


def repeats(text: Sequence[int], token: int, end: int | None = None) -> bool:
    """Whether `token` goes on with a repetition after ``text[:end]``.

    It does if for some period k of at most `LONGEST` the last max(k + 1, `SHORTEST`) tokens, with it, are those of k
    positions before: what stands there twice begins a third time. Cheap enough for every token of a device.

    Args:
        text: a list (or whatever has slices that compare) of the ids of the whole text, prompt included.
        token: the id of the one that follows.
        end: its position; the length of the text if not given.
    """
    end = len(text) if end is None else end
    recent = text[max(0, end - LONGEST) : end]
    if token not in recent:
        return False
    for period in range(1, len(recent) + 1):
        if recent[-period] == token:
            before = max(period, SHORTEST - 1)
            start = end - before
            if start >= period and text[start:end] == text[start - period : end - period]:
                return True
    return False


def repeated(text: Sequence[int], start: int, end: int | None = None) -> list[bool]:
    """For each token of ``text[start:end]``, whether it goes on with a repetition of the text before it."""
    return [repeats(text, text[position], position) for position in range(start, len(text) if end is None else end)]
