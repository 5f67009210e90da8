"""A tree of guesses comes back from its message, and what is no tree is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ProtocolError
from shared.wire.guesses import MOST_NAMED, MOST_NODES, TEXT, GuessTree, decode_guesses, encode_guesses
from shared.wire.v1 import target_pb2 as wire

VOCABULARY = 50


@st.composite
def trees(draw) -> GuessTree:
    tokens = draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=MOST_NODES))
    parents = [draw(st.integers(TEXT - MOST_NAMED, node - 1)) for node in range(len(tokens))]
    numbers = st.integers(0, 2**32 - 1)
    hash_ = draw(st.integers(0, 2**64 - 1))
    odds = draw(st.sampled_from([(), tuple(draw(st.integers(0, 255)) / 255 for _ in tokens)]))
    return GuessTree(draw(numbers), hash_, tuple(tokens), tuple(parents), draw(numbers), odds)


@settings(max_examples=60, deadline=None)
@given(trees())
def test_any_tree_comes_back(tree):
    message = wire.Guesses.FromString(encode_guesses(tree).SerializeToString())
    assert decode_guesses(message, VOCABULARY) == tree


def test_a_line_has_no_parents():
    message = encode_guesses(GuessTree(7, 9, (1, 2, 3), (TEXT, 0, 1)))
    assert message == wire.Guesses(position=7, prefix_hash=9, tokens=[1, 2, 3])


def test_parents_are_counted_back():
    """Two tokens that may follow the text, and one that may follow the first of them."""
    message = encode_guesses(GuessTree(7, 9, (1, 2, 3), (TEXT, TEXT, 0)))
    assert list(message.parents) == [1, 2, 2]


@pytest.mark.parametrize(
    ("match", "fields"),
    [
        ("0 guesses", {}),
        ("257 guesses", {"tokens": [1] * (MOST_NODES + 1)}),
        ("not below the vocabulary of 50", {"tokens": [1, VOCABULARY]}),
        ("1 parents for 2 guesses", {"tokens": [1, 2], "parents": [1]}),
        ("3 parents for 2 guesses", {"tokens": [1, 2], "parents": [1, 1, 1]}),
        ("counted back from it", {"tokens": [1, 2], "parents": [1, 0]}),
        ("counted back from it", {"tokens": [1, 2], "parents": [1, 3 + MOST_NAMED]}),
        ("counted back from it", {"tokens": [1, 2], "parents": [2 + MOST_NAMED, 1]}),
        ("odds of 1 guesses for 2", {"tokens": [1, 2], "odds": b"x"}),
    ],
)
def test_what_is_no_tree(match, fields):
    with pytest.raises(ProtocolError, match=match):
        decode_guesses(wire.Guesses(**fields), VOCABULARY)
