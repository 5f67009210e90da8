"""Plots of made-up figures: drawings that can be read as XML, say what they show, and repeat byte for byte."""

from __future__ import annotations

import xml.etree.ElementTree as Xml

import pytest

from benchmarks.report.asker import Point
from benchmarks.report.plots import Pens, asking_plot, parts_plot, speed_plot, work_plot
from benchmarks.report.systems import CLOUD, COLOCATED, systems_of
from edge_client.settings import Settings
from tests.benchmarks.report.made import made_figures

LINKS = {"lan": 1.0, "far": 100.0, "wifi": 15.0}
SYSTEMS = systems_of(Settings())
FIGURES = [
    made_figures(system.name, link, round_trip_ms=trip, is_ours=system.is_ours, speed_up=1.0 + i, passes=0.1 * i)
    for i, system in enumerate(SYSTEMS)
    for link, trip in LINKS.items()
]
CURVES = {
    "ours, typical": [Point(0.01, 0.2, 0.01, 0.05), Point(0.05, 0.1, 0.04, 0.1)],
    "ours, strict": [Point(0.05, 0.3, 0.001, 0.05)],
    "chance": [Point(0.5, 0.5, 0.05, 0.2), Point(0.0, 1.0, 0.0, 0.0)],
}
DRAWN = {
    "speed": lambda: speed_plot(FIGURES, ["wifi"], "As it is"),
    "asking": lambda: asking_plot(CURVES, ["typical", "strict"]),
    "parts": lambda: parts_plot({"As it is": FIGURES[::3], "Simulated": FIGURES[::3]}),
    "work": lambda: work_plot(FIGURES[::3], "As it is"),
}
SAYS = {
    "speed": {"As it is", "exact", COLOCATED, "ms until the first settled token"},
    "asking": {"typical criterion", "strict criterion", "ours", "chance"},
    "parts": {"As it is", "Simulated", "rest of the loop", "exact"},
    "work": {"As it is", "passes a token", "exact"},
}


def words(svg: str) -> list[str]:
    """What stands in a drawing."""
    return ["".join(node.itertext()).strip() for node in Xml.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(DRAWN))
def test_a_plot_says_what_it_shows_and_repeats(name) -> None:
    svg = DRAWN[name]()
    assert SAYS[name] <= {*words(svg)}
    assert DRAWN[name]() == svg


@pytest.mark.slow
def test_who_never_asks_the_target_is_not_among_those_that_do() -> None:
    idle = SYSTEMS[0].name
    assert idle in words(DRAWN["parts"]())
    assert idle not in words(DRAWN["work"]())


def test_no_two_systems_look_alike() -> None:
    pens = Pens(FIGURES)
    looks = {str({key: value for key, value in pens[system.name].items() if key != "label"}) for system in SYSTEMS}
    assert len(looks) == len(SYSTEMS)
    assert "marker" not in pens[CLOUD]
