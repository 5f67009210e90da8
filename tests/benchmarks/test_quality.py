"""What a budget buys: both sides in one process, with models of a few lines."""

from __future__ import annotations

import pytest

from benchmarks.quality import (
    CLOUD,
    LOCAL,
    away_line,
    default_row,
    gap_line,
    rows_of,
    samples,
    samplings,
    table,
    write_rows,
)
from cloud_target.engine.scripted import ScriptedEngine
from edge_client.settings import Settings
from shared.config import Mode
from shared.errors import InputError
from tests.edge_client.scripted_device import CONTEXT, fake_bundle, fake_edge, script, tokenizer

SETTINGS = Settings(temperature=0.7, top_p=0.9, max_tokens=24)
ENGINE = ScriptedEngine(script("target"), tokenizer().get_vocab_size(), context=CONTEXT)
PROMPTS = [[0, 270, 280], [0, 290, 300, 310]]


@pytest.fixture(scope="module")
def rows():
    told = []
    with fake_edge() as edge:
        written = write_rows(edge, ENGINE, PROMPTS, SETTINGS, told.append)
    assert told == [1, 2]
    return written


def test_every_row_writes_every_prompt(rows):
    assert list(rows) == list(rows_of(SETTINGS))
    assert (next(iter(rows)), list(rows)[-1]) == (LOCAL, CLOUD)
    assert {len(runs) for runs in rows.values()} == {len(PROMPTS)}


def test_a_row_goes_on_with_its_own_budget(rows):
    """Each budget is one promise, which each of its texts teaches."""
    with fake_edge() as edge:
        write_rows(edge, ENGINE, PROMPTS, SETTINGS, lambda _: None)
        found = {
            (entry.promise.criterion, entry.promise.budget): entry.texts
            for entry in edge._kit.memory()[0].entries.values()
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
    assert (cloud["off cloud's"], cloud["regret"], cloud["as cloud %"]) == ("+0.000 ± 0.000", "0.000", "100.0")
    assert cloud["unlikely %"] == "0.00"  # a script that is sure of itself
    assert dict(zip(heads, cells[LOCAL], strict=True))["calls/token"] == "0.000"


def test_samples_show_one_prompt_and_seed_side_by_side(rows):
    names = (LOCAL, default_row(SETTINGS), CLOUD)
    assert names[1] == "sprint, typical 1 %"
    text = samples(fake_bundle(), PROMPTS, rows, names, 1)
    assert text.count("```") == 2
    assert [line for line in text.splitlines() if line.startswith("[")] == ["[prompt]", *(f"[{n}]" for n in names)]
    assert max(map(len, text.splitlines())) <= 100
    assert samples(fake_bundle(), PROMPTS, rows, names, 0) == ""


def test_the_gap_in_words(rows):
    assert gap_line(rows).startswith("The nll of local less that of cloud is ")
    assert "says nothing" in gap_line({name: runs[:1] for name, runs in rows.items()})


def test_steps_away_in_words(rows):
    assert "leads away from the target's text by two errors" in away_line(rows)
    lured = dict(rows) | {"sprint, strict 0.5 %": rows[LOCAL], "sprint, strict 1 %": rows[CLOUD]}
    assert "strict from sprint, strict 1 % to sprint, strict 0.5 %: +0." in away_line(lured)


def test_one_top_p_for_all_temperatures_or_one_for_each():
    assert samplings([0, 1], [0.9]) == [(0, 0.9), (1, 0.9)]
    assert samplings([0, 1], [1.0, 0.9]) == [(0, 1.0), (1, 0.9)]
    with pytest.raises(InputError, match="one for each of the 3 temperatures, not 2"):
        samplings([0, 0.7, 1], [1.0, 0.9])
