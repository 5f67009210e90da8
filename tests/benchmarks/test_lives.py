"""What devices are given to write, before any of it is written."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from benchmarks.lives import fresh, mixed, shift, varied
from edge_client.settings import Settings

KINDS = {"a": [[1], [2], [3]], "b": [[4]]}
SETTINGS = Settings(temperature=0.5, top_p=0.8)


def test_fresh_devices_write_one_kind_and_begin_elsewhere():
    found = list(fresh(KINDS, 3, 900, SETTINGS))
    assert [life.stretches[0].name for life in found] == ["a"] * 3 + ["b"] * 3
    assert [life.stretches[0].texts[0][1] for life in found] == [[1], [2], [3], [4], [4], [4]]
    assert len({life.settings.seed for life in found[:3]}) == 3
    assert all(life.stretches[0].tokens == 900 for life in found)
    assert {text[2:] for life in found for text in life.stretches[0].texts} == {(0.5, 0.8)}


def test_a_shift_is_from_the_easy_kinds_to_the_hard_ones_in_turn():
    first, second = shift({"easy": [[9], [8]]}, KINDS, 2, 300, 200, SETTINGS)
    assert [(part.name, part.tokens) for part in first.stretches] == [("before", 300), ("after", 200)]
    assert [text[0] for text in first.stretches[1].texts] == ["a", "b"] * 3
    assert first.settings.seed != second.settings.seed


def test_a_user_who_varies_settings_varies_them_with_every_text():
    (life,) = varied(KINDS, 200, SETTINGS)
    (stretch,) = life.stretches
    assert (len(stretch.texts), stretch.tokens) == (200, None)
    ways = [text[2:] for text in stretch.texts]
    assert len(set(ways)) > 20
    assert sum(one != other for one, other in pairwise(ways)) > 180
    assert [*varied(KINDS, 200, SETTINGS)] == [life]


def test_a_mixed_life_has_as_many_texts_of_each_kind():
    (life,) = mixed(KINDS, 11, SETTINGS)
    assert Counter(text[0] for text in life.stretches[0].texts) == {"a": 6, "b": 5}
    assert len({tuple(text[1]) for text in life.stretches[0].texts}) == 4
