"""Pairs to guess: each has the target's text and another's, in both orders, and the key says which is which."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from benchmarks.blind import KEY, Pair, page, write
from edge_client.testing import scripted_edge
from shared.config import Mode


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    with scripted_edge() as edge:
        return write(edge, [edge.bundle.encode(letter) for letter in "abcdef"], 12, seed=0)


def test_one_of_each_pair_is_the_target(pairs: list[Pair]) -> None:
    assert len(pairs) == 10
    assert all(pair.modes.count(Mode.CLOUD) == 1 for pair in pairs)
    others = Counter(mode for pair in pairs for mode in pair.modes)
    assert others[Mode.LOCAL] == others[Mode.SPRINT] == 5
    assert {pair.modes.index(Mode.CLOUD) for pair in pairs} == {0, 1}  # or the order would give it away


def test_any_number_of_openings_will_do() -> None:
    with scripted_edge() as edge:
        assert len(write(edge, [edge.bundle.encode("a")], 4, seed=0)) == 5


def test_the_key_says_who_wrote_which(pairs: list[Pair]) -> None:
    text = page(pairs)
    shown, key = text.split(KEY)
    assert not re.search(r"`(cloud|local|sprint)`", shown.split("## 1\n")[1])
    for number, pair in enumerate(pairs, 1):
        assert f"{number}. A `{pair.modes[0]}`, B `{pair.modes[1]}`\n" in key


def test_a_text_cannot_format_the_page() -> None:
    pair = Pair("a\nb", ("# *no* `heading`\n\nend", "<b>"), (Mode.CLOUD, Mode.LOCAL))
    lines = page([pair]).splitlines()
    assert r"**A** \# \*no\* \`heading\` / end" in lines
    assert r"**B** \<b\>" in lines
