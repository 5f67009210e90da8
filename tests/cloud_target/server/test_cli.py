"""The whole cloud side: a tiny Llama served over gRPC, and the command that does it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import torch
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cloud_target import cli
from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.server.server import running
from shared.config import Coupling, Sampling
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.engine.checkpoints import CONTEXT, VOCABULARY, write_checkpoint
from tests.cloud_target.protocol.reference import SESSION_ID, alone, request
from tests.cloud_target.server.process import PATIENCE
from tests.grpc_service import unused_port

PROMPT = [3, 1, 4, 1, 5]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("serve") / "tiny-llama")


@pytest.fixture(scope="module")
def engine(checkpoint) -> TargetEngine:
    return TargetEngine(load_target(str(checkpoint), "cpu"), memory=1 << 20)


@pytest.fixture(scope="module")
def stub(engine) -> Iterator[TargetServiceStub]:
    with running(engine) as address, grpc.insecure_channel(address) as channel:
        yield TargetServiceStub(channel)


def truth(engine: TargetEngine, sampling: Sampling, end_ids: tuple[int, ...] = ()) -> list[int]:
    """The model's own text, without a cache, a server or a batch."""

    @torch.inference_mode()
    def script(text):
        logits = engine.passes.model(input_ids=torch.tensor([list(text)]), use_cache=False).logits
        return logits[0, -1, :VOCABULARY].numpy()

    return alone(script, PROMPT, sampling, CONTEXT, end_ids)


def decode(stub: TargetServiceStub, *messages: wire.DecodeRequest) -> list[wire.DecodeResponse]:
    return list(stub.Decode(iter(messages), timeout=30))


def test_describe(stub, engine):
    who = stub.Describe(wire.DescribeRequest(), timeout=30)
    assert (who.name, who.vocabulary, who.context, who.dtype) == ("tiny-llama", VOCABULARY, CONTEXT, "float32")
    assert len(who.fingerprint) == len(who.tokenizer_fingerprint) == 32


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [Sampling(0.0), Sampling(0.7, 0, 0.9, 3), Sampling(1.0, 5, 1.0, 2**63)])
def test_the_text_is_the_models_own(stub, engine, sampling):
    """Written on by the target, and guessed at in windows of any size: the same tokens."""
    expected = truth(engine, sampling)
    verdict, *rest = decode(stub, request(PROMPT, 0, sampling, judge_from=5, write_on=CONTEXT))
    written = [*PROMPT, verdict.verdict.token, *(t for r in rest for t in r.continuation.tokens)]
    assert written == expected
    assert rest[-1].continuation.done
    text, sent = list(PROMPT), 0
    stub.Release(wire.ReleaseRequest(session_id=SESSION_ID), timeout=30)
    while len(text) < CONTEXT:
        guesses = expected[len(text) : len(text) + len(text) % 5]
        if len(text) % 3 == 0 and guesses:
            guesses[-1] = (guesses[-1] + 1) % VOCABULARY
        message = request(text + guesses, sent, sampling, judge_from=len(text))
        [answer] = decode(stub, message)
        text += guesses[: answer.verdict.stands]
        sent = len(text)
        if answer.verdict.HasField("token"):
            text.append(answer.verdict.token)
            sent = len(text)
    assert text == expected


def test_end_ids_end_the_text(stub, engine):
    sampling = Sampling(1.0, seed=1)
    end = truth(engine, sampling)[20]
    expected = truth(engine, sampling, (end,))
    verdict, *rest = decode(stub, request(PROMPT, 0, sampling, judge_from=5, write_on=CONTEXT, end_ids=[end]))
    assert [*PROMPT, verdict.verdict.token, *(t for r in rest for t in r.continuation.tokens)] == expected


def test_residual(stub):
    q = [wire.SparseDistribution(ids=[7, 8], probabilities=[0.5, 0.5])]
    [answer] = decode(stub, request([*PROMPT, 7], 0, Sampling(1.0), coupling=Coupling.RESIDUAL, q=q))
    assert answer.verdict.stands in (0, 1)
    assert len(codec.decode_audit(answer.verdict.audit)) == answer.verdict.stands


def test_a_bad_request_leaves_the_server_alive(stub, engine):
    for broken in (
        request([*PROMPT, VOCABULARY], 0, Sampling()),
        request([1] * (CONTEXT + 1), 0, Sampling()),
        request([1], 0, Sampling(), judge_from=0),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            decode(stub, broken)
        assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE)
        assert "tandem-reason" in dict(caught.value.trailing_metadata())
    [answer] = decode(stub, request(PROMPT, 0, Sampling(0.0), judge_from=5))
    assert answer.verdict.token == truth(engine, Sampling(0.0))[5]


def serve_and_kill(arguments: list[str], number: signal.Signals, capfd: pytest.CaptureFixture) -> tuple[int, str, str]:
    """Run the command in this process, and have it signalled as soon as it is healthy."""
    port = unused_port()

    def kill() -> None:
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                health = health_pb2_grpc.HealthStub(channel)
                answer = health.Check(health_pb2.HealthCheckRequest(), timeout=60, wait_for_ready=True)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
        finally:
            os.kill(os.getpid(), number)

    with ThreadPoolExecutor(1) as thread:
        killed = thread.submit(kill)
        status = cli.main(["serve", "--port", str(port), "--kv-memory", "1MiB", *arguments])
        killed.result()
    return status, *capfd.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serve_until_a_signal(checkpoint, capfd, number, expected):
    status, out, err = serve_and_kill(["--target", str(checkpoint), "--device", "cpu"], number, capfd)
    assert status == expected
    about = r"\(\d+\.\d k parameters, float32 on cpu, texts of 64 tokens, 4096 in 1 MiB\)"
    assert re.fullmatch(rf"cloud-target: serving tiny-llama {about} on 127\.0\.0\.1:\d+\n", out)
    assert "Traceback" not in err


@pytest.mark.slow
def test_bfloat16_survives_on_any_processor(checkpoint):
    """In a process of its own: where AMX is promised but forbidden, only the guard stands between us and SIGILL."""
    command = [sys.executable, "-m", "cloud_target", "serve", "--target", str(checkpoint), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--dtype", "bfloat16", "--threads", "1", "--kv-memory", "1MiB"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert "bfloat16 on cpu" in line, process.stderr.read()
        with grpc.insecure_channel(line.split()[-1]) as channel:
            [answer] = decode(TargetServiceStub(channel), request(PROMPT, 0, Sampling(0.0), judge_from=5))
        assert answer.verdict.HasField("token")
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert err.splitlines() == [f"cloud-target: loading {checkpoint} ..."]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "match"),
    [
        (["serve", "--target", "/no/such/directory"], 2, "there is no directory"),
        (["serve", "--target", "no-such/model"], 2, "neither a directory here nor"),
        (["serve", "--host", "0.0.0.0"], 2, "refusing to listen"),
        (
            ["serve", "--port", "9464", "--metrics-port", "9464"],
            2,
            "have the same port, 9464; give another --port or --metrics-port",
        ),
        (["serve", "--port", "0", "--threads", "100000"], 2, "100000 threads are far too many"),
        (["serve", "--port", "0", "--kv-memory", "1000TiB"], 2, "on this machine; give less"),
    ],
)
def test_errors_are_one_sentence(arguments, status, match, capsys):
    assert cli.main(arguments) == status
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("cloud-target: ")
    assert match in last


@pytest.mark.slow
def test_a_context_that_is_too_long(checkpoint, capsys):
    assert cli.main(["serve", "--target", str(checkpoint), "--context", "65", "--port", "0"]) == 2
    assert "own 64 tokens, not 65; give another --context" in capsys.readouterr().err


def test_a_taken_port_is_known_before_the_model_is_loaded(engine, capsys):
    with running(engine) as address:
        assert cli.main(["serve", "--port", address.split(":")[1]]) == 2
    assert "address already in use" in capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve", "--port", "99999"],
        ["serve", "--kv-memory", "much"],
        ["serve", "--dtype", "int3"],
        ["fly"],
        ["serve", "--por", "1"],
    ],
)
def test_what_is_not_understood(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("cloud-target: ")
    assert line.endswith("--help`")


def test_ctrl_c_while_loading_is_quiet(monkeypatch, capsys):
    def interrupted(*_: object) -> Callable[[], int]:
        raise KeyboardInterrupt

    monkeypatch.setattr("cloud_target.server.process.load_elsewhere", interrupted)
    assert cli.main(["serve", "--port", "0"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
def test_help_is_fast_and_shows_the_commands():
    program = (
        "import sys; from cloud_target import cli\n"
        "try: cli.main(['--help'])\n"
        "finally: assert not {'torch', 'grpc', 'transformers'} & {*sys.modules}"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for words in ("serve", "train", "export", "cloud-target serve --target ./my-model --device cuda"):
        assert words in run.stdout
