"""What a budget buys: both sides in one process, with models of a few lines."""

from __future__ import annotations

import pytest

from benchmarks.quality import CLOUD, LOCAL, default_row, gap_line, rows_of, samples, table, write_rows
from edge_client.decoding.generation import Settings
from edge_client.testing import LoopbackTransport
from shared.config import Mode, Sampling
from tests.edge_client.clients import client_of
from tests.edge_client.scripted_device import fake_cloud, fake_device

SETTINGS = Settings(sampling=Sampling(0.7, 0, 0.9), max_tokens=24)
PROMPTS = [[0, 270, 280], [0, 290, 300, 310]]


@pytest.fixture(scope="module")
def device():
    return fake_device()


@pytest.fixture(scope="module")
def rows(device):
    told = []
    written = write_rows(device, client_of(LoopbackTransport(fake_cloud())), PROMPTS, SETTINGS, told.append)
    assert told == [1, 2]
    return written


def test_every_row_writes_every_prompt(rows):
    assert list(rows) == list(rows_of(SETTINGS))
    assert (next(iter(rows)), list(rows)[-1]) == (LOCAL, CLOUD)
    assert {len(runs) for runs in rows.values()} == {len(PROMPTS)}


def test_a_row_goes_on_with_its_own_budget(device, monkeypatch):
    """Each budget's controller is made once, and given to each of its texts."""
    made, used = [], []
    new, generate = device.budget, device.generate

    def make(settings, client):
        made.append(new(settings, client))
        return made[-1]

    def note(ids, settings, client=None, budget=None):
        if settings.mode is Mode.SPRINT:
            used.append(budget)
        return generate(ids, settings, client, budget)

    monkeypatch.setattr(device, "budget", make)
    monkeypatch.setattr(device, "generate", note)
    write_rows(device, client_of(LoopbackTransport(fake_cloud())), PROMPTS, SETTINGS, lambda _: None)
    assert list(map(id, used)) == 2 * list(map(id, made[:10]))


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


def test_samples_show_one_prompt_and_seed_side_by_side(device, rows):
    names = (LOCAL, default_row(SETTINGS), CLOUD)
    assert names[1] == "sprint, typical 0.5 %"
    text = samples(device, PROMPTS, rows, names, 1)
    assert text.count("```") == 2
    assert [line for line in text.splitlines() if line.startswith("[")] == ["[prompt]", *(f"[{n}]" for n in names)]
    assert max(map(len, text.splitlines())) <= 100
    assert samples(device, PROMPTS, rows, names, 0) == ""


def test_the_gap_in_words(rows):
    assert gap_line(rows).startswith("The nll of local less that of cloud is ")
    assert "says nothing" in gap_line({name: runs[:1] for name, runs in rows.items()})
