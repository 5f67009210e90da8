"""The page of made-up results: everything that it shows is there, and what is simulated says so."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from benchmarks.peers.rows import Row
from benchmarks.report.asker import Point
from benchmarks.report.page import page
from benchmarks.report.plan import SIMULATED, Plan
from benchmarks.report.run import LOOPBACK, Results
from benchmarks.report.systems import CLOUD, COLOCATED, systems_of
from edge_client.settings import Settings
from tests.benchmarks.report.made import made_figures
from tests.project.test_pages import links, paths
from tests.project.tree import ROOT

LINKS = {"lan": 1.0, "home": 25.0, "wifi": 15.0}
SPEEDS = {"exact": 2.0, COLOCATED: 3.0, "sprint, typical 1 %": 4.0}


def made_results() -> Results:
    systems = systems_of(Settings())
    figures = []
    for step in (0.0, SIMULATED):
        figures.append(made_figures(CLOUD, LOOPBACK, round_trip_ms=0.0, step_ms=step))
        figures += [
            made_figures(
                system.name,
                link,
                round_trip_ms=trip,
                step_ms=step,
                is_ours=system.is_ours,
                speed_up=SPEEDS.get(system.name, 1.0) + (5.0 if (system.name, link) == ("exact", "lan") else 0.0),
                passes=0.0 if system.name == "local" else 0.5,
            )
            for link, trip in LINKS.items()
            for system in systems
        ]
    point = Point(0.5, 0.2, 0.01, 0.1)
    curves = {"ours, typical": [point], "ours, strict": [point], "chance": [point]}
    return Results(figures, curves, systems, "a draft", "a target", no_peers="no draft for them")


@pytest.mark.slow
def test_the_page_is_whole_and_its_plots_are_there() -> None:
    files = page(made_results(), Plan(prompts=20, simulated=10), Settings(), "somewhere")
    text = files["benchmarks.md"]
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert {name.removeprefix("./") for name in shown} == files.keys() - {"benchmarks.md"}
    assert links(text) == {*shown, "./benchmarks/figures.json"}
    assert sorted(path for path in paths(text) if not (ROOT / path).exists()) == []
    for words in ("a draft", "a target", "python -m benchmarks", "somewhere", "20 texts a mode", "torch 2"):
        assert words in text
    for system in systems_of(Settings()):
        assert f"**{system.name}**" in text


@pytest.mark.slow
def test_whatever_is_simulated_is_labelled() -> None:
    """Every table with a simulated number stands under a heading that says so; every plot says so itself."""
    files = page(made_results(), Plan(), Settings(), "somewhere")
    labelled = {name for name, svg in files.items() if name.endswith(".svg") and "Simulated step of 25 ms" in svg}
    assert labelled == {f"benchmarks/{name}.svg" for name in ("speed-simulated", "work-simulated", "parts")}
    headings = re.findall(r"^### (.*)$", files["benchmarks.md"], re.MULTILINE)
    assert [heading.startswith("Simulated step of 25 ms") for heading in headings] == [False, True] * 3


@pytest.mark.slow
def test_other_peoples_systems_have_a_table_or_a_sentence() -> None:
    text = page(made_results(), Plan(), Settings(), "somewhere")["benchmarks.md"]
    assert "None was measured: no draft for them." in text
    rows = [
        Row("home", 25.0, "AutoDraft", "not installed: pip install it"),
        Row("home", 25.0, CLOUD, texts=2, equal=1.0),
    ]
    text = page(replace(made_results(), peers=rows, no_peers=""), Plan(), Settings(), "somewhere")["benchmarks.md"]
    assert "None was measured" not in text
    assert "AutoDraft: not installed: pip install it." in text
    assert "- **AutoDraft**: " in text
    assert "- **transformers" not in text


@pytest.mark.slow
def test_it_says_where_a_cloud_that_speculates_is_slower() -> None:
    text = page(made_results(), Plan(), Settings(), "somewhere")["benchmarks.md"]
    sentence = next(line for line in text.splitlines() if line.startswith("Faster, by these medians"))
    assert "exact: on lan." in sentence
    assert "sprint, typical 1 %: on every link" in sentence
    assert "sprint, strict 5 %: on no link" in sentence
    assert "cloud:" not in sentence
    assert "local" not in sentence
