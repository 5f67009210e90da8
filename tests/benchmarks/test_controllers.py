"""The simulation keeps to its figures, bandits do as their papers say, and `auto` stays near the best mode."""

from __future__ import annotations

import json
from random import Random
from statistics import fmean

import pytest

from benchmarks.controlled import FIGURES, TEXTS, Kind, Place, Text, drawn, places
from benchmarks.controllers import MODES, RatioBandit, Row, Ucb1, measure, tables
from shared.config import Mode

FIRST = dict.fromkeys(MODES, 0.0)
MEANS = {Mode.EXACT: 0.006, Mode.CLOUD: 0.010}
STEPS = {Mode.SPRINT: 0.012, Mode.EXACT: 0.012, Mode.CLOUD: 0.009}


def a_place(link: str = "home") -> Place:
    return Place(link, 0.0, 0.001, 0.030, 0.009, MEANS, FIRST, STEPS, 0.3, 0.0004)


def a_text(takes: dict[Mode, float], tokens: int = 10) -> Text:
    return Text([False] * tokens, {mode: [each] * tokens for mode, each in takes.items()}, FIRST)


@pytest.mark.parametrize("link", ["home", "mobile", "wifi"])
def test_what_is_drawn_has_nearly_the_mean_of_the_figures_however_the_link_fails(link):
    place, chance = a_place(link), Random(1)
    texts = [drawn(place, "0001" * 32, 0.2, 0.2, chance) for _ in range(200)]
    mean = {mode: fmean(text.whole(mode) / 128 for text in texts) for mode in MODES}
    assert mean[Mode.SPRINT] == pytest.approx(0.001 + 0.25 * 0.030, rel=0.07)
    assert mean[Mode.EXACT] == pytest.approx(0.006, rel=0.07)
    assert mean[Mode.CLOUD] == pytest.approx(0.010, rel=0.07)


def test_bandits_try_every_mode_and_the_one_that_settles_keeps_to_the_best():
    takes = {Mode.SPRINT: 0.02, Mode.EXACT: 0.2, Mode.CLOUD: 0.3}
    for bandit, others in ((Ucb1(), 20), (RatioBandit(), 12)):
        spent = [bandit.write(a_text(takes)) for _ in range(100)]
        assert sorted(spent[:3]) == pytest.approx([10 * each for each in takes.values()])
        assert sum(each > 0.3 for each in spent) <= others * 2
        assert fmean(spent[50:]) < fmean(spent[:10])
    assert max(spent[50:]) == pytest.approx(0.2)


def test_auto_stays_near_the_best_mode_where_texts_differ_and_ahead_of_bandits():
    texts = [("0" * 15 + "1") * 8 if number % 2 else "0001" * 32 for number in range(12)]
    kind = Kind("strict", 0.7, 0.1, 0.88, [(text, 0.19) for text in texts])
    for row in measure(a_place(), kind, runs=4, texts=30):
        assert row.over("auto", row.best) < 1.05
        assert row.over("auto", row.best) < row.over("UCB1", row.best)
        assert row.over("auto", Mode.CLOUD) < 1.02


def test_the_recorded_texts_and_the_figures_fit_together():
    kinds = [Kind(**kind) for kind in json.loads(TEXTS.read_text(encoding="utf-8"))]
    assert len({(kind.criterion, kind.temperature) for kind in kinds}) == 6
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))["figures"]
    found = list(places(figures, ["none", "lan", "wifi"]))
    assert [(place.link, place.step) for place in found] == [("lan", 0), ("wifi", 0), ("lan", 25), ("wifi", 25)]


def test_the_table_counts_cells_and_tells_the_worst():
    seconds = {"auto": 1.02, "ratio bandit": 1.3, "UCB1": 1.5, Mode.SPRINT: 1.0, Mode.EXACT: 1.2, Mode.CLOUD: 2.0}
    rows = [Row("lan", 0.0, "strict", t, "first", seconds | {"auto": auto}) for t, auto in ((0.0, 1.02), (1.0, 1.08))]
    summary, _, by_link, _ = tables(rows)
    assert "1.050 |  1.08 |     1 of 2 |              0 of 2" in summary
    assert "1.05 (1.08)" in by_link
