"""`edge-client doctor --pair` against targets behind a real port: one that answers, one that goes away, one that is
silent, and none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from edge_client.bundles.pocket import POCKET
from edge_client.cli import main as cli
from edge_client.doctor import pair, trial
from edge_client.testing import ScriptedTarget, random_script
from shared.findings import Level
from shared.manifest import read_manifest
from tests.edge_client.virtual import remembered
from tests.grpc_service import Servicer, serving

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def short(monkeypatch, tmp_path) -> None:
    """One opening, and links that are not much longer."""
    monkeypatch.setattr(trial, "OPENINGS", trial.OPENINGS[:1])
    monkeypatch.setattr(trial, "LONGER", (0.08,))
    monkeypatch.setattr(trial, "_MOST", 16)
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "state"))


@pytest.fixture
def servicer() -> Servicer:
    manifest = read_manifest(POCKET)
    target = ScriptedTarget.of(manifest, remembered(random_script(manifest.vocabulary)))
    return Servicer(target)


@pytest.fixture
def port(servicer) -> Iterator[int]:
    with serving(servicer) as port:
        yield port


@pytest.fixture
def doctor(port, capsys) -> Callable[..., tuple[int, dict[str, dict], str]]:
    """Runs it with `--json`; gives the exit status, what was found, by name, and what was told meanwhile."""

    def run(*words: str) -> tuple[int, dict[str, dict], str]:
        status = cli.main(["doctor", "--json", "--pair", "--target", f"127.0.0.1:{port}", *words])
        said = capsys.readouterr()
        return status, {found["name"]: found for found in json.loads(said.out)}, said.err

    return run


def test_the_table_has_a_cell_for_each_mode_and_link(doctor):
    status, found, told = doctor("--price-out", "2", "--currency", "EUR")
    assert status == 0
    assert "splitting" not in found
    values = found["pair"]["values"]
    assert found["pair"]["level"] == (Level.OK if values["pays"] else Level.WARN)
    trips = [values["here"], 0.0, 0.010, 0.025, 0.050, 0.100, 0.200]
    assert set(values["modes"]) == {"sprint", "exact", "cloud"}
    for cells in values["modes"].values():
        assert [cell["round_trip"] for cell in cells] == trips
        assert all(cell["rate"] > 0 and cell["money"] >= 0 for cell in cells)
        rates = [cell["rate"] for cell in cells[1:]]
        assert rates == sorted(rates, reverse=True)  # nothing is quicker on a longer link
    assert {cell["gain"] for cell in values["modes"]["cloud"]} == {1.0}
    # A token of the stream is a call and a token that was paid for.
    assert values["modes"]["cloud"][0]["money"] == pytest.approx(1000 * 2 / 1e6)
    assert values["measured"]["texts"] == 5
    assert values["measured"]["round_trips"] == [pytest.approx(values["here"]), 0.08]
    assert found["sent"]["values"]["texts"] == 10
    assert "edge-client: writing with this pair: 0 of at most 5 texts" in told


def test_people_see_a_table_and_a_sentence(port, capsys):
    assert cli.main(["doctor", "--pair", "--target", f"127.0.0.1:{port}", "--budget", "0"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^     link +here, [\d.]+ ms +0 ms +10 ms +25 ms +50 ms +100 ms +200 ms$", out, re.MULTILINE)
    assert "exact, tokens/s" in out
    assert "cloud, tokens/s" in out
    assert "sprint" not in out.partition("pair: ")[2]
    assert "/1,000 tokens" not in out  # nobody said what anything costs


def test_a_target_that_falls_silent_ends_it_with_a_sentence(doctor, servicer, monkeypatch):
    monkeypatch.setattr(trial, "_PATIENCE", 0.5)
    real = trial.Trial.run

    def silent(self, tell):
        servicer.answered = 0
        real(self, tell)

    monkeypatch.setattr(trial.Trial, "run", silent)
    status, found, _ = doctor()
    assert status == 0
    assert found["pair"]["level"] == Level.WARN
    assert found["pair"]["sentence"].startswith("not measured: ")


def test_where_no_time_is_left_nothing_is_written(doctor, monkeypatch):
    monkeypatch.setattr(pair, "_LEAST", 1e6)
    _, found, _ = doctor()
    assert found["pair"]["sentence"].startswith("not measured: the checks before it took too long")
    assert found["sent"]["values"]["texts"] == 0


def test_a_pair_has_two_parts(capsys):
    assert cli.main(["doctor", "--pair"]) == 2
    assert "give the target, too" in capsys.readouterr().err


def test_where_nothing_may_leave_nothing_does(doctor, monkeypatch, servicer):
    monkeypatch.setenv("TANDEM_LOCAL_ONLY", "1")
    _, found, _ = doctor()
    assert "pair" not in found
    assert "no socket is opened" in found["target"]["sentence"]
