"""What was measured of a target outlives the process, gives way to what is measured anew, and is never in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.auto.pace import Pace
from edge_client.auto.paces import Paces
from edge_client.auto.stored import MOST_KINDS, MOST_TARGETS, Target, as_json, paces
from edge_client.cli import main as cli
from edge_client.target.client import TargetClient
from edge_client.testing import LoopbackTransport, ManualClock
from shared.config import Mode
from tests.edge_client.clients import client_of
from tests.edge_client.scripted_device import fake_cloud, fake_edge, manifest

TIMES = st.floats(1e-6, 1e3)
WHO = Target("f1", "gpu.example:50051")


def a_client(address: str = "a:1", clock: ManualClock | None = None) -> TargetClient:
    client = client_of(LoopbackTransport(fake_cloud()), clock)
    client.address = address
    return client


def through_a_file(pace: Pace) -> Pace:
    data = json.loads(json.dumps({"format": 1, "targets": [as_json(WHO, pace)]}))
    return paces(data)[WHO]


def a_pace(draft: float, steps: dict[Mode, float], trips: list[float], asked: int = 3) -> Pace:
    pace = Pace()
    pace.drafted(10 * draft, 10)
    for mode, step in steps.items():
        pace.passed(mode, [step] * 4)
    for trip in trips:
        pace.travelled(trip)
    kind = pace.kind(("typical", 0.01, 0.7, 0.9, 0), 0.02)
    kind.asks.add(asked, 100)
    kind.spent[Mode.SPRINT], kind.looks = (1000.0, 500.0), dict.fromkeys((Mode.SPRINT, Mode.CLOUD), 20.0)
    return pace


@given(TIMES, st.dictionaries(st.sampled_from(Mode), TIMES), st.lists(TIMES, min_size=1))
def test_what_is_written_is_what_is_read(draft, steps, trips):
    pace = a_pace(draft, steps, trips)
    found = through_a_file(pace)
    assert (found.draft, found.round_trip) == (pytest.approx(pace.draft), pytest.approx(pace.round_trip))
    assert {mode: found.step(mode) for mode in steps} == {mode: pytest.approx(pace.step(mode)) for mode in steps}
    (name,) = found.kinds
    before, after = pace.kinds[name], found.kinds[name]
    assert after.asks.share == pytest.approx(before.asks.share)
    measured, forecasted = after.spent[Mode.SPRINT]
    assert measured / forecasted == pytest.approx(2.0)
    assert through_a_file(found) == found


def test_it_gives_way_to_what_is_measured_anew():
    pace = a_pace(0.001, {Mode.CLOUD: 0.010}, [0.2] * 8)
    for _ in range(20):
        pace.passed(Mode.CLOUD, [0.010])
    found = through_a_file(pace)
    for one in (pace, found):
        one.travelled(0.02)
        one.passed(Mode.CLOUD, [0.040])
        one.drafted(0.004, 1)
    assert (pace.round_trip, found.round_trip) == (pytest.approx(0.2), 0.02)
    assert pace.step(Mode.CLOUD) < 0.020 < 0.025 < found.step(Mode.CLOUD)
    (kind,) = found.kinds.values()
    # Half of a forecast's correction is what is measured now, and modes that were tried then are tried again.
    assert kind.spent[Mode.SPRINT][1] == pytest.approx(4 * 0.2 + 0.1)
    assert sum(kind.looks.values()) == 8
    assert kind.asks.tokens < pace.kinds[("typical", 0.01, 0.7, 0.9, 0)].asks.tokens


def test_each_target_and_each_way_to_it_has_its_own(tmp_path):
    for number, address in enumerate(("a:1", "b:1")):
        kept, client = Paces.at(manifest(), tmp_path), a_client(address)
        pace, trouble = kept.of(client)
        assert not trouble
        assert pace.steps == {}
        assert kept.of(client)[0] is pace
        pace.passed(Mode.CLOUD, [0.01 * (number + 1)])
        assert kept.keep(pace) == []
    again = Paces.at(manifest(), tmp_path)
    assert [again.of(a_client(address))[0].step(Mode.CLOUD) for address in ("a:1", "b:1")] == [0.01, 0.02]
    other = a_client("a:1")
    other.description = type(other.description)(**vars(other.description) | {"fingerprint": "another"})
    assert again.of(other)[0].steps == {}


def test_the_file_stays_small(tmp_path):
    kept = Paces.at(manifest(), tmp_path)
    for number in range(MOST_TARGETS + 5):
        client = a_client(f"host:{number}")
        pace, _ = kept.of(client)
        for kind in range(MOST_KINDS + 5):
            pace.kind(("typical", kind), 0.1).looks[Mode.CLOUD] = 1.0
        kept.keep(pace)
    (file,) = tmp_path.glob("*.json")
    data = json.loads(file.read_text())["targets"]
    assert [one["address"] for one in data] == [f"host:{number}" for number in range(5, MOST_TARGETS + 5)]
    assert all([kind["name"][1] for kind in one["kinds"]] == list(range(5, MOST_KINDS + 5)) for one in data)
    assert file.stat().st_size < 100_000


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        "[" * 10_000,
        '{"format": 2, "targets": []}',
        '{"format": 1}',
        '{"format": 1, "targets": [{}]}',
        {"address": 7},
        {"round_trip": None},
        {"round_trip": -1},
        {"draft": 1e300},
        {"draft": "soon"},
        {"steps": {"fast": 1.0}},
        {"steps": {"cloud": float("nan")}},
        {"steps": []},
        {"kinds": [{"name": ["typical"], "asks": [2.0, 10], "spent": {}, "looks": {}}]},
        {"kinds": [{"name": ["typical"], "asks": [0.1], "spent": {}, "looks": {}}]},
        {"kinds": [{"name": [["typical"]], "asks": [0.1, 10], "spent": {}, "looks": {}}]},
        {"kinds": [{"name": ["typical"], "asks": [0.1, 10], "spent": {"cloud": 3}, "looks": {}}]},
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence_and_written_anew(tmp_path, damage):
    if isinstance(damage, dict):
        sound = as_json(WHO, a_pace(0.001, {Mode.CLOUD: 0.010}, [0.2]))
        damage = json.dumps({"format": 1, "targets": [sound | damage]})
    kept, client = Paces.at(manifest(), tmp_path), a_client()
    kept.path.write_text(damage)
    pace, (sentence,) = kept.of(client)
    assert "measured anew" in sentence
    assert str(kept.path) in sentence
    assert pace.steps == {}
    pace.passed(Mode.CLOUD, [0.01])
    assert kept.keep(pace) == []
    assert Paces.at(manifest(), tmp_path).of(a_client())[0].step(Mode.CLOUD) == 0.01


def test_a_directory_that_cannot_be_written_is_told_of_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    kept, client = Paces(tmp_path / "file" / "x.json"), a_client()
    pace, _ = kept.of(client)
    (sentence,) = kept.keep(pace)
    assert "could not be kept" in sentence
    assert kept.keep(pace) == []


def test_the_first_guess_of_the_way_is_no_longer_than_connecting_took(tmp_path):
    for trips, guess in (([5.0] * 8, 0.2), ([0.05] * 8, 0.05)):
        client = a_client()
        client.round_trip = 0.2
        client.ping = lambda answered: None
        kept = Paces(tmp_path / f"{trips[0]}.json")
        pace, _ = kept.of(client)
        assert pace.round_trip == 0.2
        for trip in trips:
            pace.travelled(trip)
        kept.keep(pace)
        assert Paces(kept.path).of(client)[0].round_trip == guess


def pace_file(directory: Path) -> Path:
    (file,) = directory.glob("*.pace.json")
    return file


def test_an_edge_goes_on_where_the_last_one_ended(tmp_path):
    for _ in range(2):
        with fake_edge(memory=tmp_path, mode="auto", budget=0.05) as edge:
            done = edge.generate("Tom", max_tokens=60)
            assert not [warning for warning in done.warnings if "measured" in warning]
    (target,) = json.loads(pace_file(tmp_path).read_text())["targets"]
    (kind,) = target["kinds"]
    assert kind["name"] == ["typical", 0.05, 0.7, 0.9, 0]
    assert sum(kind["looks"].values()) > 3.5  # of both texts: a single one of 60 tokens has three
    assert "Tom" not in pace_file(tmp_path).read_text()
    with fake_edge(memory=False, mode="auto", budget=0.05) as edge:
        before = pace_file(tmp_path).read_text()
        edge.generate("Tom", max_tokens=60)
    assert pace_file(tmp_path).read_text() == before


def test_the_command_line_keeps_it_and_forgets_it(edge, monkeypatch, tmp_path, capsys):
    state = tmp_path / "state"
    words = ("Tom", "--max-tokens", "60", "--budget", "0.05", "--mode", "auto")
    assert edge(*words, "--no-memory")[0] == 0
    assert {path.stem for path in state.iterdir()} == {"usage"}  # what was spent is counted all the same
    assert edge(*words)[0] == 0
    first = json.loads(pace_file(state).read_text())
    assert edge(*words)[0] == 0
    assert json.loads(pace_file(state).read_text()) != first
    pace_file(state).write_text("{")
    status, out, err = edge(*words)
    assert (status, bool(out)) == (0, True)
    assert "warning: what was measured in earlier runs" in err
    monkeypatch.setattr("edge_client.cli.verifier.read_manifest", lambda bundle: manifest())
    assert cli.main(["verifier", "reset"]) == 0
    assert {path.stem for path in state.iterdir()} == {"usage"}
