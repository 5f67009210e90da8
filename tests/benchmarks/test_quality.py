"""What a budget buys: both sides in one process, with models of a few lines."""

from __future__ import annotations

import pytest

from benchmarks.quality import CLOUD, LOCAL, default_row, gap_line, rows_of, samples, table, write_rows
from edge_client.settings import Settings
from shared.config import Mode
from tests.edge_client.scripted_device import fake_bundle, fake_edge

SETTINGS = Settings(temperature=0.7, top_p=0.9, max_tokens=24)
PROMPTS = [[0, 270, 280], [0, 290, 300, 310]]


@pytest.fixture(scope="module")
def rows():
    told = []
    with fake_edge() as edge:
        written = write_rows(edge, PROMPTS, SETTINGS, told.append)
    assert told == [1, 2]
    return written


def test_every_row_writes_every_prompt(rows):
    assert list(rows) == list(rows_of(SETTINGS))
    assert (next(iter(rows)), list(rows)[-1]) == (LOCAL, CLOUD)
    assert {len(runs) for runs in rows.values()} == {len(PROMPTS)}


def test_a_row_goes_on_with_its_own_budget(rows):
    """Each budget is one promise, which each of its texts teaches."""
    with fake_edge() as edge:
        write_rows(edge, PROMPTS, SETTINGS, lambda _: None)
        found = {
            (entry.promise.criterion, entry.promise.budget): entry.texts for entry in edge._memory.entries.values()
        }
    sprints = [row for row in rows_of(SETTINGS).values() if row.mode is Mode.SPRINT]
    assert found == {(row.criterion, row.budget): len(PROMPTS) for row in sprints}


def test_the_table_is_markdown(rows):
    lines = table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({len(line) for line in lines}) == 1
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines}
    heads = cells["mode"]
    cloud = dict(zip(heads, cells[CLOUD], strict=True))
    assert cloud["ROUGE-L"] == "1.000"
    assert cloud["strict %"] == cloud["typical %"] == "0.00"
    assert cloud["x cloud"] == "1.0"
    assert dict(zip(heads, cells[LOCAL], strict=True))["calls/token"] == "0.000"


def test_samples_show_one_prompt_and_seed_side_by_side(rows):
    names = (LOCAL, default_row(SETTINGS), CLOUD)
    assert names[1] == "sprint, typical 0.5 %"
    text = samples(fake_bundle(), PROMPTS, rows, names, 1)
    assert text.count("```") == 2
    assert [line for line in text.splitlines() if line.startswith("[")] == ["[prompt]", *(f"[{n}]" for n in names)]
    assert max(map(len, text.splitlines())) <= 100
    assert samples(fake_bundle(), PROMPTS, rows, names, 0) == ""


def test_the_gap_in_words(rows):
    assert gap_line(rows).startswith("The nll of local less that of cloud is ")
    assert "says nothing" in gap_line({name: runs[:1] for name, runs in rows.items()})
