"""The command line as a process: signals, pipes, targets that die, and what of a text is kept then."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from edge_client.bundles import trials
from edge_client.cli.process import signals_are_heeded
from tests.cloud_target.server.process import PATIENCE, ScriptedProcess
from tests.grpc_service import Servicer, unused_port
from tests.project.tree import ROOT

pytestmark = pytest.mark.slow
DEVICE = "tests.edge_client.scripted_device"


Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the command line with these arguments; what still runs after the test is killed."""
    runs: list[subprocess.Popen] = []

    def begin(*arguments: str, module: str = DEVICE, **environment: str) -> subprocess.Popen:
        run = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        runs.append(run)
        return run

    yield begin
    for run in runs:
        with run:
            run.kill()


def interrupt(run: subprocess.Popen, servicer: Servicer, number: signal.Signals = signal.SIGINT) -> tuple[bytes, bytes]:
    """Signal a device that waits in the middle of a text for a target that does not answer; what it printed in all.

    Waiting for a time instead would miss the text's middle on one machine or another.
    """
    assert servicer.unanswered.wait(PATIENCE)
    run.send_signal(number)
    return run.communicate(timeout=PATIENCE)


def skip_if_ignored(number: signal.Signals) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("whoever started the tests has this signal ignored (as nohup does), which a process inherits")


def test_a_dead_target_and_a_wrong_address(start):
    dead = f"127.0.0.1:{unused_port()}"
    runs = [start("Tom", "--target", address, "--on-outage", "fail") for address in (dead, "nowhere")]
    for run, status, sentence in zip(
        runs, (3, 2), ("cannot reach the target at 127", "is not an address"), strict=True
    ):
        out, err = run.communicate(timeout=PATIENCE)
        assert (run.returncode, out) == (status, b"")
        assert re.fullmatch(rf"edge-client: .*{sentence}.*\n", err.decode())


def test_a_dead_target_leaves_the_device_to_write_alone_and_say_so(start):
    dead = f"127.0.0.1:{unused_port()}"
    run = start("Tom", "--target", dead, "--json")
    out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0
    report = json.loads(out)
    assert set(report["origins"]) == {"alone"}
    assert report["alone"] == report["tokens"] > 0
    assert err.decode().startswith(f"edge-client: the target at {dead} is not reached (")
    assert err.decode().endswith("): the draft writes this text alone\n")
    quiet = start("Tom", "--target", dead, "-q")
    _, err = quiet.communicate(timeout=PATIENCE)
    assert quiet.returncode == 0
    assert re.fullmatch(rb"edge-client: warning: (\d+) of \1 tokens were written without the target, .*\n", err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_quietly_releases_the_session_and_keeps_what_was_learned(start, served, tmp_path, number):
    skip_if_ignored(number)
    address, servicer = served
    servicer.answered = 24  # of rival questions one each
    run = start("Tom", "--target", address, "--max-tokens", "400", "--window", "4", TANDEM_STATE=str(tmp_path))
    out, err = interrupt(run, servicer, number)
    assert (run.returncode, err) == (128 + number, b"\n")
    assert out
    [memory] = (one for one in tmp_path.glob("*.json") if one.name != trials.NAME)
    assert json.loads(memory.read_text())["entries"][0]["known"] > 0
    assert len(servicer.transport.released) == 1
    assert len(servicer.transport.service.table) == 0


def test_an_interrupted_text_is_in_the_json(start, served):
    skip_if_ignored(signal.SIGINT)
    address, servicer = served
    servicer.answered = 24  # of rival questions one each
    run = start("Tom", "--json", "--target", address, "--max-tokens", "400", "--window", "4", "--no-memory")
    out, err = interrupt(run, servicer)
    report = json.loads(out)
    assert (run.returncode, err, report["finish_reason"]) == (130, b"\n", "interrupted")
    assert 3 <= len(report["token_ids"]) == report["tokens"] < 400


_INTERRUPTED = """
import os, signal, sys
from importlib.abc import MetaPathFinder
class Interrupt(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)
wanted = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupt())
from edge_client.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "loading",
    ["edge_client.cli.arguments", "argparse", "edge_client.cli.generate", "numpy", "onnxruntime", "tokenizers"],
)
def test_ctrl_c_while_it_loads_is_quiet(loading):
    skip_if_ignored(signal.SIGINT)
    command = [sys.executable, "-c", _INTERRUPTED, loading, "--mode", "local", "Once"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "\n")


def test_a_target_that_dies_is_told_of_and_its_restart_is_noticed(start):
    """SIGKILL in the middle of a text, silence for a while, and a fresh process on the same port."""
    target, (told, ended) = ScriptedProcess(0.01), (threading.Event(), [])
    arguments = (
        "Tom",
        "--target",
        target.address,
        "--mode",
        "cloud",
        "--max-tokens",
        "400",
        "--json",
        "--no-memory",
        "--on-outage",
        "wait",
    )
    run = start(*arguments)

    def listen() -> None:
        for line in run.stderr:
            ended.append((time.monotonic(), line.decode()))
            told.set()

    listener = threading.Thread(target=listen)
    listener.start()
    target.wait_until_it_writes()
    killed = time.monotonic()
    target.end(signal.SIGKILL)
    assert told.wait(PATIENCE)
    again = ScriptedProcess(0.01, target.port)
    back = time.monotonic()
    report = json.loads(run.stdout.read())
    assert run.wait(PATIENCE) == 0
    listener.join()
    again.end(signal.SIGTERM)
    (when, down), (mended, up) = ended
    assert "the link is down (unavailable: connection refused); trying again for up to" in down
    assert up.endswith("answers again\n")
    # It takes 1 and 2 seconds, and on a busy machine more; without care it took 60 and 28.
    assert when - killed < 10.0
    assert mended - back < 15.0
    assert (report["finish_reason"], report["tokens"], report["reconnects"]) == ("length", 400, 1)
    assert [warning for _, warning in ended] == [f"edge-client: {warning}\n" for warning in report["warnings"]]


def test_the_timeout_is_the_whole_patience(start, served):
    address, servicer = served
    servicer.answered = 0
    begin = time.monotonic()
    run = start("Tom", "--target", address, "--timeout", "2", "--on-outage", "wait", "--json")
    out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 3
    assert time.monotonic() - begin < 30.0  # what one attempt may take by itself
    silent, given_up = err.decode().splitlines()
    assert silent.endswith("has not answered for a while; waiting for up to 1 second")
    assert given_up.startswith("edge-client: cannot reach the target at 127.0.0.1")
    assert json.loads(out)["finish_reason"] == "error"


def test_a_reader_that_leaves_is_no_error(start, served):
    address, servicer = served
    run = start("Tom", "--target", address, "--max-tokens", "400", TANDEM_TEST_PAUSE="0.05")
    assert run.stdout.read(20)
    run.stdout.close()
    assert run.wait(timeout=PATIENCE) == 141
    assert run.stderr.read() == b""
    assert len(servicer.transport.released) == 1


def run_in_a_shell(words: str) -> subprocess.CompletedProcess[str]:
    """The device with redirections."""
    command = f'exec "{sys.executable}" -m {DEVICE} {words}'
    return subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
@pytest.mark.parametrize(
    ("words", "to", "why"),
    [
        ("Tom --mode local", ">&-", "standard output is closed"),
        ("Tom --mode local", ">/dev/full", "No space left on device"),
        ("serve --mode local --port 0", ">/dev/full", "No space left on device"),
    ],
)
def test_a_standard_output_that_takes_nothing_is_an_error(words, to, why):
    run = run_in_a_shell(f"{words} {to}")
    assert run.returncode == 1
    assert run.stderr == f"edge-client: {why}; check the disk, or whatever the text is written to\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
def test_where_messages_are_lost_the_text_is_written():
    run = run_in_a_shell("Tom --mode local --max-tokens 9 2>/dev/full")
    assert run.returncode == 0
    assert run.stdout
    assert run_in_a_shell("Tom --mode local --max-tokens 9 >/dev/full 2>&-").returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="streams are closed by a shell")
def test_where_there_is_nothing_to_read_there_is_no_prompt():
    run = run_in_a_shell("--mode local <&-")
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)


def test_a_text_over_grpc_is_the_one_without(start, edge, served):
    run = start("Tom", "--target", served[0], "--json", "--no-memory", "-q", "--seed", "0")
    out, err = run.communicate(timeout=PATIENCE)
    assert (run.returncode, err) == (0, b"")
    assert json.loads(out)["token_ids"] == json.loads(edge("Tom", "--json")[1])["token_ids"]


def test_a_signal_that_a_wait_has_missed_is_sent_again_until_the_wait_is_over():
    """A handler that does nothing stands for one that is not called."""
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        with signals_are_heeded():
            signal.raise_signal(signal.SIGUSR1)
            end = time.monotonic() + 20
            while len(heard) < 4:
                assert time.monotonic() < end
        count = len(heard)
        with signals_are_heeded():
            assert len(heard) == count
    finally:
        signal.signal(signal.SIGUSR1, before)
