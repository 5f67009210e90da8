"""A token that goes on with a repetition, against the plain definition."""

from __future__ import annotations

from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.repetition import LONGEST, repeated, repeats


def plain_repeats(text: list[int]) -> bool:
    """Whether the last token of a text repeats, by counting for each period how far back the text equals itself."""

    def matches(period: int) -> int:
        same = (text[i] == text[i - period] for i in range(len(text) - 1, period - 1, -1))
        return sum(1 for _ in takewhile(bool, same))

    return any(matches(period) >= max(period + 1, 4) for period in range(1, 33))


tokens = st.lists(st.integers(0, 3), max_size=12)


@given(tokens, st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 5), tokens)
def test_it_is_what_counting_says(before, cycle, times, after):
    text = before + cycle * times + after
    found = repeated(text, 0)
    assert found == [plain_repeats(text[: end + 1]) for end in range(len(text))]
    assert found == [repeats(text[:end], token) for end, token in enumerate(text)]
    assert repeated(text, 3, min(9, len(text))) == found[3:9]


@given(st.lists(st.integers(0, 9), max_size=60))
def test_random_texts_too(text):
    assert repeated(text, 0) == [plain_repeats(text[: end + 1]) for end in range(len(text))]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ([7] * 9, 4),  # one token five times
        ([1, 2] * 5, 5),  # two tokens, from the second of the third round on
        ([1, 2, 3] * 4, 6),
        (list(range(LONGEST)) * 3, 2 * LONGEST),
        (list(range(LONGEST + 1)) * 4, None),
        ([5, 5, 5, 5], None),  # four in a row may be meant
        (list(range(40)), None),
    ],
)
def test_what_stood_twice_begins_a_third_time(text, first):
    found = repeated(text, 0)
    assert (found.index(True) if True in found else None) == first
    assert first is None or all(found[first:])
