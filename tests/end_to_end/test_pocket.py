"""The embedded pair, with the target in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from benchmarks.exactness import first_difference, write
from benchmarks.local_target import TargetProcess
from benchmarks.modes import compare, table
from benchmarks.prompts import DIALOGUES, EVERY, STORIES
from edge_client.bundles.bundle import Bundle
from edge_client.cli import main as cli
from edge_client.doctor import pair
from edge_client.edge import Edge
from edge_client.settings import Settings
from shared.config import Coupling
from shared.errors import InputError
from tests.serving_target import ServingTarget

pytestmark = pytest.mark.slow

TOKENS = 48
SERVE = ("--threads", "1", "--kv-memory", "64MiB")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load()


@pytest.fixture(scope="module")
def mortal() -> Iterator[list[TargetProcess]]:
    """A target that may be killed; whoever does so puts a fresh one in its place."""
    processes = [TargetProcess(SERVE)]
    yield processes
    assert processes[0].stop() == 0


@pytest.fixture
def edge(bundle: Bundle, pocket_target: ServingTarget) -> Iterator[Edge]:
    """Both sides, with nothing remembered of earlier tests."""
    with Edge(pocket_target.address, bundle=bundle, memory=False, max_tokens=TOKENS) as edge:
        yield edge


def drawn(temperature: float, seed: int) -> dict[str, float]:
    return {"temperature": temperature, "top_p": 0.9 if 0 < temperature < 1 else 1.0, "seed": seed}


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
def test_exact_writes_what_the_target_writes_alone(edge, temperature):
    for seed, prompt in enumerate(EVERY):
        how = drawn(temperature, seed)
        cloud, exact = (edge.generate(prompt, mode=mode, **how).token_ids for mode in ("cloud", "exact"))
        assert first_difference(cloud, exact) is None
        assert edge.generate(prompt, mode="auto", **how | {"budget": 0.0}).token_ids == cloud


def test_the_doctor_tells_where_the_pair_pays(pocket_target, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path))
    monkeypatch.setattr(pair, "LIMIT", 8.0)
    assert cli.main(["doctor", "--json", "--pair", "--target", pocket_target.address]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    values = found["pair"]["values"]
    assert values["pays"] == ("splitting pays on this link" in found["pair"]["sentence"])
    sprint, exact, cloud = (values["modes"][mode] for mode in ("sprint", "exact", "cloud"))
    assert [cell["calls"] for cell in cloud] == [1.0] * 7
    assert all(cell["calls"] < 0.8 for cell in (*sprint, exact[0]))
    assert values["measured"]["draft_seconds"] > 0
    assert values["measured"]["pass_seconds"]["cloud"] > values["measured"]["draft_seconds"]


@pytest.mark.parametrize("mode", ["exact", "sprint"])
def test_a_killed_target_changes_nothing(bundle, mortal, mode):
    """SIGKILL in the middle of a text that waits, and a fresh process on the same port: the edge needs no help."""
    address, ids = mortal[0].address, [0, *range(300, 320)]

    def text(on_token: Callable[[int], None] | None = None) -> list[int]:
        with Edge(address, bundle=bundle, memory=False, max_tokens=TOKENS, on_outage="wait") as edge:
            return write(edge, ids, on_token, mode=mode, **drawn(0.7, 5))

    def kill_halfway(count: int) -> None:
        if count == TOKENS // 3:
            mortal[0].kill()
            mortal[0] = TargetProcess(SERVE, int(address.rpartition(":")[2]))

    undisturbed = text()
    assert text(kill_halfway) == undisturbed


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
@pytest.mark.parametrize("mode", ["sprint", "exact"])
def test_both_couplings_write(edge, mode, coupling):
    usage = edge.generate(DIALOGUES[0], mode=mode, coupling=coupling, **drawn(0.7, 1)).usage
    assert usage.tokens > 8
    assert usage.calls > 0
    assert usage.audit.mean_nll < 3


def test_local_tells_what_it_would_have_asked(bundle):
    usage = Edge(bundle=bundle).generate(STORIES[0], budget=0.005, max_tokens=TOKENS, **drawn(1.0, 0)).usage
    assert 0 < usage.doubted < usage.tokens


def test_several_texts_at_once_do_not_disturb_each_other(bundle):
    """One thread takes a token of each in turn: every text has a cache of its own."""
    edge = Edge(bundle=bundle, max_tokens=TOKENS)
    alone = [edge.generate(prompt).token_ids for prompt in STORIES]
    streams = [edge.stream(prompt) for prompt in STORIES]
    for _ in zip(*streams, strict=False):
        pass
    assert [stream.finish().token_ids for stream in streams] == alone


def test_a_stream_that_is_closed_writes_no_more(bundle):
    with Edge(bundle=bundle).stream(STORIES[0]) as stream:
        assert next(iter(stream)).id >= 0
    assert list(stream) == []
    assert stream.completion.usage.tokens == 1


@pytest.mark.parametrize("ids", [[], [0, 4096], [-1], [5] * 1024])
def test_prompts_that_cannot_be_read(bundle, ids):
    with pytest.raises(InputError):
        Edge(bundle=bundle).stream(ids)


def test_the_payload_is_small_where_runs_are_long(edge):
    """At most 8 bytes a shown token, both ways together, when ten or more are accepted between two calls."""
    for prompt in EVERY:
        usage = edge.generate(prompt, budget=0.05, max_tokens=128, **drawn(0.7, 2)).usage
        if usage.run_length and usage.run_length >= 10 and usage.tokens >= 100:
            assert usage.bytes_per_token <= 8
            return
    pytest.fail("no run was long enough to be measured")


def test_a_looser_budget_asks_less_and_strays_more(edge):
    asks, strays = [], []
    for budget in (0.005, 0.1):
        counts = [edge.generate(prompt, budget=budget, **drawn(0.7, 3)).audit.counts for prompt in EVERY]
        asks.append(sum(one.asked for one in counts))
        strays.append(sum(one.off_strict for one in counts))
    assert asks[0] > asks[1]
    assert strays[0] < strays[1]


def test_the_table_has_every_mode(bundle, pocket_target):
    rows = compare(bundle, pocket_target.address, Settings(max_tokens=16, **drawn(0.7, 0)), STORIES[:1], seeds=1)
    lines = table(rows).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["sprint,", "sprint,", "exact", "local", "cloud"]
    assert len({len(line) for line in lines}) == 1
    by_mode = dict(rows)
    assert by_mode["cloud"][0].counts.off_strict == by_mode["exact"][0].counts.off_strict == 0


def test_the_command_reports_a_run_as_json(pocket_target):
    done = command(
        "--target", pocket_target.address, "--json", "--max-tokens", "24", "--criterion", "strict", stdin="Tom and"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report["token_ids"]) == len(report["origins"]) == report["tokens"]
    assert report["mode"] == "sprint"
    assert report["finish_reason"] in ("length", "end")
    assert report["calls"] >= 1
    assert report["accepted"] + report["confirmed"] + report["target"] == report["tokens"]


def test_the_command_says_what_is_wrong_in_one_sentence(pocket_target, tmp_path):
    wrong = {
        ("--target", "127.0.0.1:1", "--on-outage", "fail", "hello"): 3,
        ("--target", pocket_target.address, "word " * 3000): 2,
        ("--target", pocket_target.address, ""): 2,
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


def test_the_criteria_are_the_targets_own(edge):
    """By the typical criterion fewer tokens are errors than by the strict one."""
    counts = [edge.generate(prompt, budget=0.3, **drawn(0.7, 4)).audit.counts for prompt in EVERY]
    assert sum(one.off_typical for one in counts) < sum(one.off_strict for one in counts)
