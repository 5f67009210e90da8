"""Guesses add up to one tree, however they come; there are never too many, and those of a text that has grown go."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.protocol.guesses import MOST_KEPT, WORTH_JUDGING, Guesses, Picked
from shared import prefix_hash as prefix
from shared.errors import ProtocolError
from shared.wire.guesses import MOST_NAMED, MOST_NODES, TEXT, GuessTree

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
    odds = [draw(st.sampled_from([0.05, 0.2, 0.5, 0.9, 1.0])) for _ in tokens]
    return GuessTree(len(text), prefix.extend(0, text), tokens, parents, odds=odds)


def picked(guesses: Guesses, text: Sequence[int], most: int = 99) -> tuple[list[int], list[int]]:
    found = guesses.pick(len(text), prefix.extend(0, text), most)
    return list(found.tokens), list(found.parents)


def line(guesses: Guesses, text: Sequence[int], most: int = 99) -> list[int]:
    """Of one who judges no trees."""
    tokens, parents = picked(guesses, text, most)
    assert parents == list(range(TEXT, len(tokens) - 1))
    return tokens


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_likeliest_paths_are_picked(data):
    """Of all that was sent, those that the text takes with the highest probability, each after the one it follows."""
    guesses, odds = Guesses(), {}
    for _ in range(data.draw(st.integers(1, 5))):
        text = data.draw(texts)
        tree = data.draw(trees_after(text))
        guesses.add(tree)
        for path, one in zip(paths_of(text, tree), tree.odds, strict=True):
            odds.setdefault(tuple(path), one)  # what was said first counts
    assert len(guesses) == len(odds)
    text, most = tuple(data.draw(texts)), data.draw(st.integers(0, 8))

    def reach(path: tuple[int, ...]) -> float:
        return 1.0 if path == text else reach(path[:-1]) * odds.get(path, 0.0)

    # Looking up what follows a text may forget what followed shorter ones, so it is done once.
    tokens, parents = picked(guesses, text, most)
    paths: list[tuple[int, ...]] = []
    for token, parent in zip(tokens, parents, strict=True):
        paths.append((*(text if parent == TEXT else paths[parent]), token))
    possible = sorted(
        (reach(path) for path in odds if len(path) > len(text) and path[: len(text)] == text), reverse=True
    )
    assert len(set(paths)) == len(paths)
    expected = [one for one in possible if one >= WORTH_JUDGING][:most]
    assert [reach(path) for path in paths] == pytest.approx(expected)


def test_who_judges_no_trees_gets_the_likeliest_line_to_its_end():
    guesses = Guesses(branches=False)
    odds = [0.4, 0.6, 0.01, 0.3, 0.2]
    guesses.add(GuessTree(0, 0, [1, 2, 1, 2, 5], [TEXT, TEXT, 1, 1, 3], odds=odds))
    assert line(guesses, [], 2) == [2, 2]
    assert line(guesses, []) == [2, 2, 5]


def test_how_deep_a_pick_is_and_whether_it_goes_on():
    found = Picked([1, 2, 1, 4], [TEXT, 0, TEXT, 1])
    assert (found.depth, Picked([], []).depth) == (3, 0)
    assert [found.goes_on(path, 4) for path in ([], [0], [0, 1], [0, 1, 3])] == [True, True, True, False]
    assert not found.goes_on([0, 1], 3)
    assert [found.path(own) for own in ([1, 2, 4, 9, 9], [1, 2, 4, 9], [1, 3], [2, 9, 9, 9, 9])] == [
        [0, 1, 3],
        [0, 1],
        [0],
        [],
    ]
    assert not Picked([], []).goes_on([], 0)


@settings(max_examples=8, deadline=None)
@given(st.randoms(use_true_random=False))
def test_there_are_never_too_many_and_the_newest_stay(random):
    guesses = Guesses()
    for number in range(12):
        tokens = random.choices(range(10), k=random.choice([1, 100, MOST_NODES]))
        text = [number % 4] * random.randint(0, 3)
        guesses.add(
            GuessTree(len(text), prefix.extend(0, text), tokens, range(TEXT, len(tokens) - 1), odds=[0.5] * len(tokens))
        )
        assert len(guesses) <= MOST_KEPT
        before = prefix.extend(0, text)
        for token in tokens:
            assert token in guesses._after[before][1]
            before = prefix.extend(before, [token])
    assert sum(len(tokens) for _, tokens in guesses._after.values()) == len(guesses)


def test_what_followed_a_shorter_text_goes():
    guesses = Guesses()
    guesses.add(GuessTree(0, 0, [1, 2, 2, 3], [TEXT, TEXT, 0, 2], odds=[1.0] * 4))
    assert len(guesses) == 4
    assert line(guesses, [1]) == [2, 3]
    assert len(guesses) == 2
    assert line(guesses, [1, 2, 3]) == []
    assert len(guesses) == 0


def test_on_a_fall_the_line_goes_on_behind_the_token_that_came():
    guesses = Guesses()
    guesses.add(GuessTree(1, prefix.extend(0, [0]), [1, 2, 1, 2], [TEXT, TEXT, 1, 2], odds=[0.8, 0.2, 1.0, 1.0]))
    assert line(guesses, [0], 1) == [1]
    assert line(guesses, [0, 2]) == [1, 2]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_nodes_may_follow_those_sent_before(data):
    """However a tree is cut into messages, of which each names what the ones before held, it is the same tree."""
    text = data.draw(texts)
    tree, whole, pieces = data.draw(trees_after(text)), Guesses(), Guesses()
    whole.add(tree)
    begin = 0
    while begin < len(tree.tokens):
        end = data.draw(st.integers(begin + 1, len(tree.tokens)))
        parents = [parent if parent == TEXT else parent - begin for parent in tree.parents[begin:end]]
        parents = [
            one + TEXT if old != TEXT and one < 0 else one
            for old, one in zip(tree.parents[begin:end], parents, strict=True)
        ]
        is_text = TEXT in tree.parents[begin:end]
        place = (tree.position, tree.prefix_hash) if is_text else (0, 0)
        pieces.add(GuessTree(*place, tree.tokens[begin:end], parents, odds=tree.odds[begin:end]))
        begin = end
    assert len(pieces) == len(whole)
    assert picked(pieces, text) == picked(whole, text)


def test_what_was_not_sent_can_not_be_named():
    guesses = Guesses()
    guesses.add(GuessTree(0, 0, [1, 2], [TEXT, 0], odds=[1.0, 1.0]))
    guesses.add(GuessTree(0, 0, [3], [TEXT - 2], odds=[1.0]))
    with pytest.raises(ProtocolError, match="was not sent on this stream"):
        guesses.add(GuessTree(0, 0, [4], [TEXT - 4], odds=[1.0]))
    assert picked(guesses, [1]) == ([2, 3], [TEXT, TEXT])
    for _ in range(MOST_NAMED // MOST_NODES + 1):
        guesses.add(GuessTree(0, 0, [5] * MOST_NODES, range(TEXT, MOST_NODES - 1), odds=[1.0] * MOST_NODES))
    with pytest.raises(ProtocolError, match="was not sent on this stream"):
        guesses.add(GuessTree(0, 0, [4], [TEXT - MOST_NAMED - 1], odds=[1.0]))
