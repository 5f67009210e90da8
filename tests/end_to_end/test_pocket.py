"""The embedded pair, with the target in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.exactness import first_difference, write
from benchmarks.local_target import TargetProcess, local_target
from benchmarks.modes import compare, run, table
from benchmarks.prompts import DIALOGUES, EVERY, STORIES
from edge_client.decoding.generation import Device, Settings
from edge_client.target.client import TargetClient
from shared.config import Coupling, Criterion, Mode, Sampling
from shared.errors import InputError
from shared.tokenizer import encode_prompt

pytestmark = pytest.mark.slow

TOKENS = 48
SERVE = ("--threads", "1", "--kv-memory", "64MiB")


@pytest.fixture(scope="module")
def device() -> Device:
    return Device.load()


@pytest.fixture(scope="module")
def target() -> Iterator[TargetProcess]:
    with local_target(*SERVE) as process:
        yield process


@pytest.fixture(scope="module")
def mortal() -> Iterator[list[TargetProcess]]:
    """A target that may be killed; whoever does so puts a fresh one in its place."""
    processes = [TargetProcess(SERVE)]
    yield processes
    assert processes[0].stop() == 0


@pytest.fixture(scope="module")
def client(target: TargetProcess) -> Iterator[TargetClient]:
    with TargetClient.connect(target.address) as client:
        yield client


def settings(mode: Mode, temperature: float, seed: int, **others) -> Settings:
    sampling = Sampling(temperature, 0, 0.9 if 0 < temperature < 1 else 1.0, seed)
    return Settings(mode=mode, sampling=sampling, **{"max_tokens": TOKENS} | others)


def command(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "edge_client", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"NO_COLOR": "1"},
    )


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_exact_writes_what_the_target_writes_alone(device, client, temperature):
    for seed, prompt in enumerate(EVERY):
        ids = encode_prompt(device.tokenizer, prompt)
        cloud = write(device, client, ids, settings(Mode.CLOUD, temperature, seed))
        exact = write(device, client, ids, settings(Mode.EXACT, temperature, seed))
        assert first_difference(cloud, exact) is None


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.SPRINT, Mode.CLOUD])
def test_a_killed_target_changes_nothing(device, mortal, mode):
    """SIGKILL in the middle of a text, and a fresh process on the same port: the edge needs no help."""
    address = mortal[0].address
    ids = encode_prompt(device.tokenizer, STORIES[1])
    with TargetClient.connect(address) as client:
        undisturbed = write(device, client, ids, settings(mode, 0.7, 5))

        def kill_halfway(count: int) -> None:
            if count == TOKENS // 3:
                mortal[0].kill()
                mortal[0] = TargetProcess(SERVE, int(address.rpartition(":")[2]))

        assert write(device, client, ids, settings(mode, 0.7, 5), kill_halfway) == undisturbed


def test_local_opens_no_socket():
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('local mode opened a socket')\n"
        "socket.socket = socket.create_connection = refuse\n"
        "from edge_client.cli.main import main\n"
        "status = main(['--mode', 'local', '--json', '--max-tokens', '16', 'Once upon a time'])\n"
        "assert 'grpc' not in sys.modules, 'local mode imported grpc'\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["token_ids"]) <= 16


@pytest.mark.parametrize("coupling", list(Coupling))
@pytest.mark.parametrize("mode", [Mode.SPRINT, Mode.EXACT])
def test_both_couplings_write(device, client, mode, coupling):
    result = run(device, client, DIALOGUES[0], settings(mode, 0.7, 1, coupling=coupling))
    assert result.summary.tokens > 8
    assert result.summary.calls > 0
    assert result.nll / result.known < 3


def test_local_tells_what_it_would_have_asked(device):
    generation = device.generate(
        encode_prompt(device.tokenizer, STORIES[0]), settings(Mode.LOCAL, 1.0, 0, budget=0.005)
    )
    assert len(list(generation)) == generation.summary.tokens
    assert 0 < generation.summary.doubted < generation.summary.tokens


def test_a_device_writes_one_text_at_a_time(device):
    ids = encode_prompt(device.tokenizer, STORIES[0])
    first, second = (device.generate(ids, settings(Mode.LOCAL, 0.7, 0)) for _ in range(2))
    next(iter(first))
    next(iter(second))
    with pytest.raises(InputError, match="one at a time"):
        next(iter(first))
    with second:
        assert next(iter(second)).token >= 0
    assert list(second) == []


@pytest.mark.parametrize("ids", [[], [0, 4096], [-1], [5] * 1024])
def test_prompts_that_cannot_be_read(device, ids):
    with pytest.raises(InputError):
        device.generate(ids, settings(Mode.LOCAL, 0.7, 0))


def test_the_payload_is_small_where_runs_are_long(device, client):
    """At most 8 bytes a shown token, both ways together, when ten or more are accepted between two calls."""
    for prompt in EVERY:
        summary = run(device, client, prompt, settings(Mode.SPRINT, 0.7, 2, budget=0.05, max_tokens=128)).summary
        if summary.run_length and summary.run_length >= 10 and summary.tokens >= 100:
            assert (summary.bytes_up + summary.bytes_down) / summary.tokens <= 8
            return
    pytest.fail("no run was long enough to be measured")


def test_a_looser_budget_asks_less_and_strays_more(device, client):
    asks, strays = [], []
    for budget in (0.005, 0.1):
        runs = [run(device, client, prompt, settings(Mode.SPRINT, 0.7, 3, budget=budget)) for prompt in EVERY]
        asks.append(sum(r.summary.asked for r in runs))
        strays.append(sum(r.off_strict for r in runs))
    assert asks[0] > asks[1]
    assert strays[0] < strays[1]


def test_the_table_has_every_mode(device, client):
    rows = compare(device, client, settings(Mode.SPRINT, 0.7, 0, max_tokens=16), STORIES[:1], seeds=1)
    lines = table(rows).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["sprint,", "sprint,", "exact", "local", "cloud"]
    assert len({len(line) for line in lines}) == 1
    by_mode = dict(rows)
    assert by_mode["cloud"][0].off_strict == by_mode["exact"][0].off_strict == 0


def test_the_command_reports_a_run_as_json(target):
    done = command("--target", target.address, "--json", "--max-tokens", "24", "--criterion", "strict", stdin="Tom and")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report["token_ids"]) == len(report["origins"]) == report["tokens"]
    assert report["mode"] == "sprint"
    assert report["finish_reason"] in ("length", "end")
    assert report["calls"] >= 1
    assert report["accepted"] + report["confirmed"] + report["target"] == report["tokens"]


def test_the_command_says_what_is_wrong_in_one_sentence(target, tmp_path):
    wrong = {
        ("--target", "127.0.0.1:1", "hello"): 3,
        ("--target", target.address, "word " * 3000): 2,
        ("--target", target.address, ""): 2,
        ("--bundle", str(tmp_path), "hello"): 2,
        ("--bundle", str(tmp_path / "nowhere"), "hello"): 2,
        ("--temperature", "-1", "hello"): 2,
    }
    for arguments, status in wrong.items():
        done = command(*arguments)
        assert done.returncode == status, (arguments[:2], done.stderr)
        assert done.stderr.startswith("edge-client: ")
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_the_criteria_are_the_targets_own(device, client):
    """By the typical criterion fewer tokens are errors than by the strict one."""
    loose = settings(Mode.SPRINT, 0.7, 4, budget=0.3, criterion=Criterion.TYPICAL)
    runs = [run(device, client, prompt, loose) for prompt in EVERY]
    assert sum(r.off_typical for r in runs) < sum(r.off_strict for r in runs)
