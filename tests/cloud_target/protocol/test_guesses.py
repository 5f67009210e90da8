"""Guesses add up to one tree, however they come; there are never too many, and those of a text that has grown go."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.protocol.guesses import MOST_KEPT, Guesses
from shared import prefix_hash as prefix
from shared.wire.guesses import MOST_NODES, TEXT, GuessTree

ids = st.integers(0, 2)
texts = st.lists(ids, max_size=4)


def paths_of(text: Sequence[int], tree: GuessTree) -> list[list[int]]:
    """For each node, the text with all up to it."""
    found: list[list[int]] = []
    for token, parent in zip(tree.tokens, tree.parents, strict=True):
        found.append([*(text if parent == TEXT else found[parent]), token])
    return found


@st.composite
def trees_after(draw, text: Sequence[int], most: int = 12) -> GuessTree:
    tokens = draw(st.lists(ids, min_size=1, max_size=most))
    parents = [draw(st.integers(TEXT, node - 1)) for node in range(len(tokens))]
    return GuessTree(len(text), prefix.extend(0, text), tokens, parents)


def line(guesses: Guesses, text: Sequence[int], most: int = 99) -> list[int]:
    return list(guesses.line(len(text), prefix.extend(0, text), most))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_line_follows_what_was_sent_first_after_each_text(data):
    guesses, sent = Guesses(), []
    for _ in range(data.draw(st.integers(1, 5))):
        text = data.draw(texts)
        tree = data.draw(trees_after(text))
        guesses.add(tree)
        sent += paths_of(text, tree)
    assert len(guesses) == len({tuple(path) for path in sent})
    text, most = data.draw(texts), data.draw(st.integers(0, 5))
    # Looking up what follows a text may forget what followed shorter ones, so it is done once.
    expected, path = [], list(text)
    while len(expected) < most and (after := [one[-1] for one in sent if one[:-1] == path]):
        expected.append(after[0])
        path.append(after[0])
    assert line(guesses, text, most) == expected


@settings(max_examples=8, deadline=None)
@given(st.randoms(use_true_random=False))
def test_there_are_never_too_many_and_the_newest_stay(random):
    guesses = Guesses()
    for number in range(12):
        tokens = random.choices(range(10), k=random.choice([1, 100, MOST_NODES]))
        text = [number % 4] * random.randint(0, 3)
        guesses.add(GuessTree(len(text), prefix.extend(0, text), tokens, range(TEXT, len(tokens) - 1)))
        assert len(guesses) <= MOST_KEPT
        before = prefix.extend(0, text)
        for token in tokens:
            assert token in guesses._after[before][1]
            before = prefix.extend(before, [token])
    assert sum(len(tokens) for _, tokens in guesses._after.values()) == len(guesses)


def test_what_followed_a_shorter_text_goes():
    guesses = Guesses()
    guesses.add(GuessTree(0, 0, [1, 2, 2, 3], [TEXT, TEXT, 0, 2]))
    assert len(guesses) == 4
    assert line(guesses, [1]) == [2, 3]
    assert len(guesses) == 2
    assert line(guesses, [1, 2, 3]) == []
    assert len(guesses) == 0


def test_on_a_fall_the_line_goes_on_behind_the_token_that_came():
    guesses = Guesses()
    guesses.add(GuessTree(1, prefix.extend(0, [0]), [1, 2, 1, 2], [TEXT, TEXT, 1, 2]))
    assert line(guesses, [0], 1) == [1]
    assert line(guesses, [0, 2]) == [1, 2]
