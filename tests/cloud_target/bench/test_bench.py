"""The load generator against scripted targets: what it sends is lawful, what it reports is what happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from cloud_target import cli
from cloud_target.bench.draft import CLUSTERING, Luck
from cloud_target.bench.plan import MIXES, Kind, Plan
from cloud_target.bench.server import passes
from cloud_target.bench.tally import Spread, Tally
from cloud_target.bench.texts import openings
from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import running
from cloud_target.telemetry.metrics import Metrics
from cloud_target.telemetry.metrics_port import offered_at
from shared.errors import InputError
from tests.cloud_target.engine.checkpoints import write_checkpoint

VOCABULARY, CONTEXT = 16, 128
SMALL = ["--prompt-tokens", "2:6", "--text-tokens", "20", "--think-ms", "0"]


class Engine(ScriptedEngine):
    """Notes what it was fed, and can go on with another script."""

    def __init__(self, slots: int = 64) -> None:
        super().__init__(random_script(VOCABULARY, seed=3), VOCABULARY, slots, CONTEXT)
        self.judged = 0

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        self.judged += sum(len(feed.tokens) - 1 - feed.score_from for feed in feeds)
        return super().forward(feeds)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def address(engine: Engine) -> Iterator[str]:
    with running(engine) as address:
        yield address


def bench(address: str, path: Path, *words: str) -> dict:
    status = cli.main(["bench", "--address", address, "--json", str(path), *SMALL, *words])
    assert status == 0
    return json.loads(path.read_text())


@contextmanager
def ctrl_c(does: Any) -> Iterator[None]:
    """As whoever began the process has it."""
    before = signal.signal(signal.SIGINT, does)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize("mix", sorted(MIXES))
def test_every_mix_writes_the_targets_own_text(address, tmp_path, capsys, mix):
    found = bench(address, tmp_path / "b.json", "--sessions", "5", "--mix", mix, "--calls", "120", "--seconds", "60")
    assert found["errors"] == {}
    assert found["differing_tokens"] == 0
    assert found["resyncs"] == 0
    assert found["calls"] >= 120
    kinds = {kind for kind, spread in found["latency_seconds"].items() if spread}
    expected = {"sprint": {"sprint"}, "exact": {"exact"}, "cloud": {"token"}, "mixed": {"sprint", "exact", "token"}}
    assert kinds - {"tail"} == expected[mix] | {"prompt"}
    out = capsys.readouterr().out
    assert "errors: none" in out
    assert "agreement: modelled" in out


@pytest.mark.slow
def test_the_bound_on_time_holds(address, tmp_path, capsys):
    found = bench(address, tmp_path / "b.json", "--sessions", "2", "--seconds", "0.5")
    assert found["seconds"] >= 0.5
    assert found["texts"] > found["abandoned"]
    assert not found["interrupted"]


def test_where_ctrl_c_is_ignored_it_stays_so(address, tmp_path, capsys):
    """As in a background job of a script."""
    with ctrl_c(signal.SIG_IGN):
        bench(address, tmp_path / "b.json", "--sessions", "1", "--calls", "20")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_sessions_beyond_the_slots_are_served_with_resyncs(tmp_path, capsys):
    with running(Engine(slots=1)) as address:
        found = bench(address, tmp_path / "b.json", "--sessions", "12", "--calls", "150", "--seconds", "60")
    assert found["resyncs"] > 0
    assert found["differing_tokens"] == 0


def test_abandoned_sessions_are_counted(address, tmp_path, capsys):
    found = bench(address, tmp_path / "b.json", "--sessions", "3", "--calls", "100", "--abandon", "1")
    assert found["texts"] == found["abandoned"] > 0


def test_a_target_that_changes_its_mind_is_found_out(engine, address, tmp_path, capsys):
    """After the recording (8 texts at most, 20 passes each or fewer in batches) another script takes over."""

    def later() -> None:
        while engine.judged == 0:
            time.sleep(0.001)
        engine._script = random_script(VOCABULARY, seed=4)

    thread = threading.Thread(target=later, daemon=True)
    thread.start()
    found = bench(address, tmp_path / "b.json", "--sessions", "4", "--calls", "200", "--seconds", "60")
    thread.join()
    assert found["differing_tokens"] > 0
    assert found["errors"] == {}


@pytest.mark.slow
def test_the_batch_size_comes_from_the_metrics(tmp_path, capsys):
    engine = Engine()
    metrics = Metrics(engine.description, "0", process=False)
    with running(engine, observer=metrics) as address, offered_at("127.0.0.1", 0, metrics.registry) as where:
        found = bench(address, tmp_path / "b.json", "--sessions", "4", "--calls", "80", "--metrics", where)
    assert 1 <= found["feeds_per_pass"] <= 4
    assert passes("127.0.0.1:1") is None


@pytest.mark.slow
def test_ctrl_c_prints_what_there_is(address, tmp_path, capfd):
    path = tmp_path / "b.json"

    def press() -> None:
        while "calls/s now" not in capfd.readouterr().err:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press, daemon=True)
    words = ["bench", "--address", address, "--json", str(path), *SMALL, "--sessions", "2", "--seconds", "60"]
    with ctrl_c(signal.default_int_handler):
        thread.start()
        status = cli.main(words)
        thread.join()
    assert status == 130
    assert json.loads(path.read_text())["interrupted"]
    assert "interrupted" in capfd.readouterr().out


@pytest.mark.slow
def test_a_target_of_its_own(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "tiny-llama")
    command = [
        sys.executable,
        "-m",
        "cloud_target",
        "bench",
        "--target",
        str(checkpoint),
        "--threads",
        "1",
        "--kv-memory",
        "1MiB",
    ]
    command += [*SMALL, "--sessions", "3", "--calls", "40", "--seconds", "60", "--json", str(tmp_path / "b.json")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["target"]["name"] == "tiny-llama"
    assert found["feeds_per_pass"] >= 1
    assert found["errors"] == {}
    assert "batch size" in run.stdout


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["--sessions", "0"], 2, "--sessions cannot be 0"),
        (["--think-ms", "-1"], 2, "--think-ms cannot be -1;"),
        (["--agreement", "2"], 2, "--agreement cannot be"),
        (["--prompt-tokens", "9:3"], 2, "--prompt-tokens cannot be 9:3;"),
        (["--address", "nowhere"], 2, "is not an address"),
        (["--address", "127.0.0.1:1", "--kv-memory", "1GiB"], 2, "--kv-memory is for a target of the test's own"),
        (["--ca", "x.pem"], 2, "--ca is for a target that runs already; give its --address"),
        (["--client-key", "x.key"], 2, "--client-key is for a target that runs already"),
        (["--metrics", "127.0.0.1:1"], 2, "--metrics is for a target that runs already"),
        (["--host", "0.0.0.0"], 2, "--host is not for a load test"),
        (["--metrics-host", "0.0.0.0"], 2, "--metrics-host is not for a load test"),
        (["--client-ca", "ca.pem"], 2, "--client-ca is not for the test's own target"),
        (["--json", "/no/such/directory/x.json"], 2, "no such directory"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(words, status, sentence, capsys):
    assert cli.main(["bench", *words]) == status
    [line] = capsys.readouterr().err.splitlines()
    assert sentence in line


def test_a_text_must_fit_in_the_context(address, capsys):
    assert cli.main(["bench", "--address", address, "--prompt-tokens", "100", "--text-tokens", "50"]) == 2
    assert "do not fit" in capsys.readouterr().err


@pytest.mark.parametrize("agreement", [0.0, 0.5, 0.85, 1.0])
def test_luck_has_the_share_and_the_clustering_that_it_promises(agreement):
    luck = Luck(agreement, Random(1))
    run = [luck.easy() for _ in range(40_000)]
    assert np.mean(run) == pytest.approx(agreement, abs=0.01)
    if 0 < agreement < 1:
        hard = ~np.array(run)
        after_hard, after_easy = hard[1:][hard[:-1]].mean(), hard[1:][~hard[:-1]].mean()
        assert after_hard / after_easy == pytest.approx(CLUSTERING, rel=0.1)


def test_runs_end_where_they_must():
    luck = Luck(1.0, Random(0))
    assert luck.run(7) == 7
    assert Luck(0.0, Random(0)).run(7) == 0


def test_the_same_seed_makes_the_same_load():
    plan = Plan(sessions=8, seed=5)
    assert openings(plan, 100, 1000) == openings(plan, 100, 1000)
    assert openings(plan, 100, 1000) != openings(Plan(sessions=8, seed=6), 100, 1000)
    assert [Plan(5, mix="mixed").kind(i) for i in range(5)] == [Kind.SPRINT] * 3 + [Kind.EXACT, Kind.CLOUD]


def test_percentiles():
    tally = Tally(None, lambda: None)
    for value in range(1, 101):
        tally.answered("sprint", float(value))
    spread = Spread.of(tally.answers["sprint"])
    assert (spread.count, spread.p50, spread.longest) == (100, 50.5, 100.0)
    assert spread.p50 < spread.p90 < spread.p99 < spread.longest
    assert Spread.of(tally.queue) is None


def test_a_plan_names_the_option_that_is_wrong():
    with pytest.raises(InputError, match="--text-tokens"):
        Plan(sessions=1, text_tokens=1)
