"""How long it takes to make rows is foretold from a little of them, whatever takes the time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cloud_target.prepare import material
from cloud_target.prepare.material import Forecast, Material
from cloud_target.training.time_left import duration
from shared.config import Sampling


def made(documents: int, draws: int, length: int = 11, start: int = 1, temperature: float = 1.0) -> Material:
    texts, ways = [np.zeros(length, np.uint16)] * documents, [Sampling(temperature=temperature)] * draws
    return Material(texts, np.full(documents, start), np.arange(documents), [ways] * documents)


class Clock:
    """Goes on when something is done.

    Args:
        token, row: seconds that reading one and making one take, the latter at temperature 1.
    """

    def __init__(self, token: float, row: float) -> None:
        self.now, self._token, self._row = 0.0, token, row
        self.tried = 0

    def __call__(self) -> float:
        return self.now

    def read(self, _: Any, __: Any, tried: Material) -> None:
        self.now += self._token * tried.tokens
        self.tried = max(self.tried, tried.tokens)

    def label(self, _: Any, __: Any, tried: Material) -> None:
        self.now += self.seconds(tried)

    def seconds(self, of: Material) -> float:
        return self._token * of.tokens + self._row * of.rows * of.samplings[0][0].temperature


@pytest.mark.parametrize(("token", "row"), [(0.5, 0.0), (0.0, 0.25), (0.3, 0.1)])
def test_the_total_is_told_before_it_begins(monkeypatch: pytest.MonkeyPatch, token: float, row: float) -> None:
    clock, nothing = Clock(token, row), Any
    monkeypatch.setattr(material, "_read", clock.read)
    monkeypatch.setattr(material, "_label", clock.label)
    materials = [made(100, 8), made(300, 1, start=6, temperature=0.5), made(50, 2)]
    forecast = Forecast.of(nothing, nothing, iter(materials), clock)  # type: ignore[arg-type]
    assert 0 < clock.tried < 30
    took = [clock.seconds(one) for one in materials]
    for number, seconds in enumerate(took):
        with forecast.doing(number) as left:
            assert str(left) == duration(sum(took[number:]))
            clock.now += seconds


def test_what_was_done_corrects_it() -> None:
    clock = Clock(0, 0)
    forecast = Forecast([10.0, 10.0, 60.0], clock)
    with forecast.doing(1) as left:  # the first was there
        assert str(left) == "70 s"
        clock.now += 20
    with forecast.doing(2) as left:
        assert str(left) == "2 min"


def test_rows_are_counted() -> None:
    assert (made(3, 2).tokens, made(3, 2).rows) == (33, 60)
    assert made(3, 2, length=4, start=9).rows == 0
    assert [made(9, 2, length).sample().tokens for length in (11, 4000)] == [11, 25]
