"""The hash of a growing text: it tells texts apart, and its last step can be taken back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.prefix_hash import MASK, common, extend, last_token, mix, unmix

hashes = st.integers(0, MASK)
tokens = st.integers(0, 2**32 - 1)


@given(hashes)
def test_what_is_mixed_can_be_taken_back(number):
    assert unmix(mix(number)) == number
    assert mix(unmix(number)) == number


@given(hashes, tokens)
def test_the_last_token_follows_from_two_hashes(text, token):
    assert last_token(text, extend(text, [token])) == token


@given(st.lists(tokens), st.lists(tokens))
def test_a_text_is_hashed_as_it_grows(first, second):
    assert extend(extend(0, first), second) == extend(0, [*first, *second])


@given(st.lists(st.integers(0, 2), max_size=8), st.lists(st.integers(0, 2), max_size=8))
def test_with_how_many_ids_two_texts_begin_alike(one, other):
    length = common(one, other)
    assert one[:length] == other[:length]
    assert length in (len(one), len(other)) or one[length] != other[length]
    assert common(tuple(one), other) == common(one, tuple(other)) == length
