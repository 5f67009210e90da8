"""The doctor: sound machines and targets are found sound, and what is broken is named with what to do."""

from __future__ import annotations

import json
import socket
import ssl
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from cloud_target import cli
from cloud_target.access.protection import Access
from cloud_target.access.quotas import Quota
from cloud_target.access.tls import TlsFiles
from cloud_target.access.tokens import TokenFile
from cloud_target.doctor import machine
from cloud_target.doctor.remote import Remote
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.options.dial import DialSettings
from cloud_target.server import servicer
from cloud_target.server.server import running
from shared import requirements
from shared.errors import InputError, ProtocolError
from shared.findings import Finding, Level, fail, ok, run_checks
from shared.machine import SystemFiles, available_memory, usable_cores
from shared.wire.v1 import target_pb2 as wire
from tests.certificates import Authority
from tests.cloud_target.engine.checkpoints import write_checkpoint

TENANT = "anna"
SMALL = ("--kv-memory", "1MiB")  # as much as tiny models need


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("doctor") / "tiny-llama")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The server's file, and the client's."""
    from cloud_target.access.tokens import add_line, new_token

    directory = tmp_path_factory.mktemp("tokens")
    secret, line = new_token(TENANT)
    add_line(directory / "tokens.txt", line)
    (directory / "anna.token").write_text(secret + "\n")
    return directory / "tokens.txt", directory / "anna.token"


def examine(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, list[Finding]]:
    capsys.readouterr()
    status = cli.main(["doctor", "--json", *words])
    findings = [
        Finding(Level(f["level"]), f["name"], f["sentence"], f.get("values", {}))
        for f in json.loads(capsys.readouterr().out)
    ]
    assert status == int(any(finding.level is Level.FAIL for finding in findings))
    return status, findings


def of(findings: list[Finding], name: str, level: Level) -> str:
    """The sentence of the one finding of this name and level."""
    [sentence] = [f.sentence for f in findings if (f.name, f.level) == (name, level)]
    return sentence


def scripted() -> ScriptedEngine:
    return ScriptedEngine(random_script(16), 16, step=0.0025)


def test_a_sound_machine_and_configuration(checkpoint, authority, token, capsys):
    pair = authority.issue("server")
    pair.key.chmod(0o600)
    words = [
        "--target",
        str(checkpoint),
        *SMALL,
        "--device",
        "cpu",
        "--port",
        "0",
        "--threads",
        "1",
        "--tokens",
        str(token[0]),
    ]
    status, findings = examine(capsys, *words, "--tls-cert", str(pair.cert), "--tls-key", str(pair.key))
    assert status == 0
    assert {f.name for f in findings} >= {"versions", "certificate", "key", "tokens", "address", "threads", "memory"}
    assert "tiny-llama" in of(findings, "target", Level.OK)
    assert "16 tokens in" in of(findings, "forward pass", Level.OK)
    assert "for localhost, 127.0.0.1, valid until" in of(findings, "certificate", Level.OK)


def test_lines_for_people(checkpoint, capsys):
    words = ["--target", str(checkpoint), *SMALL, "--device", "cpu", "--port", "0", "--threads", "1"]
    assert cli.main(["doctor", *words]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert all(line[:5] in ("ok   ", "warn ") for line in lines)
    assert last.endswith("0 failed")


@pytest.mark.parametrize(
    ("days", "level", "sentence"), [(-3, Level.FAIL, "it expired on"), (5, Level.WARN, "renew it soon")]
)
def test_certificates_near_and_after_their_end(authority, checkpoint, capsys, days, level, sentence):
    pair = authority.issue(f"days{days}", days=days)
    words = [
        "--tls-cert",
        str(pair.cert),
        "--tls-key",
        str(pair.key),
        "--target",
        str(checkpoint),
        *SMALL,
        "--port",
        "0",
    ]
    _, findings = examine(capsys, *words)
    assert sentence in of(findings, "certificate", level)


def test_files_that_are_wrong_or_open_to_all(authority, checkpoint, token, tmp_path, capsys):
    pair, other = authority.issue("one"), authority.issue("two")
    base = ["--target", str(checkpoint), *SMALL, "--port", "0"]
    _, findings = examine(capsys, *base, "--tls-cert", str(pair.cert), "--tls-key", str(other.key))
    assert "belong together" in of(findings, "certificate", Level.FAIL)
    pair.key.chmod(0o644)
    tokens = tmp_path / "tokens.txt"
    tokens.write_bytes(token[0].read_bytes())
    tokens.chmod(0o666)
    words = ["--tls-cert", str(pair.cert), "--tls-key", str(pair.key), "--tokens", str(tokens)]
    _, findings = examine(capsys, *base, *words)
    assert "chmod 600" in of(findings, "key", Level.WARN)
    assert "anybody on this machine can write" in of(findings, "tokens", Level.FAIL)
    tokens.chmod(stat.S_IRUSR | stat.S_IWUSR)
    tokens.write_text("anna secret\n")
    _, findings = examine(capsys, *base, "--tokens", str(tokens))
    assert "line 1" in of(findings, "tokens", Level.FAIL)
    tokens.write_text("# nobody\n")
    _, findings = examine(capsys, *base, "--tokens", str(tokens))
    assert "nobody may call" in of(findings, "tokens", Level.WARN)


def test_what_serve_would_refuse(checkpoint, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        _, findings = examine(capsys, "--target", str(checkpoint), *SMALL, "--port", str(taken.getsockname()[1]))
    assert "address already in use" in of(findings, "address", Level.FAIL)
    _, findings = examine(capsys, "--target", str(tmp_path / "none"), "--port", "0", "--host", "0.0.0.0")
    assert "refusing to listen" in of(findings, "address", Level.FAIL)
    assert "there is no directory" in of(findings, "target", Level.FAIL)
    _, findings = examine(
        capsys, "--target", str(checkpoint), *SMALL, "--port", "0", "--host", "0.0.0.0", "--insecure-bind"
    )
    assert "--insecure-bind" in of(findings, "address", Level.WARN)


def test_a_running_target(authority, token, capsys):
    pair = authority.issue("running")
    access = Access(TlsFiles(pair.cert, pair.key), TokenFile(token[0]))
    with running(scripted(), access=access) as address:
        words = ["--address", address, "--ca", str(authority.cert)]
        status, findings = examine(capsys, *words, "--token-file", str(token[1]))
        assert status == 0
        assert [f.name for f in findings] == ["versions", "reach", "tls", "health", "describe", "decode"]
        assert "scripted, float32, 2.5 ms for a token when it started" in of(findings, "describe", Level.OK)
        assert "a token is judged in" in of(findings, "decode", Level.OK)
        _, findings = examine(capsys, *words)
        assert "token" in of(findings, "describe", Level.FAIL)
        assert "decode" not in {f.name for f in findings}
        _, findings = examine(capsys, "--address", address, "--tls")
        assert "not accepted" in of(findings, "tls", Level.FAIL)


def test_what_grpc_accepts_is_accepted(authority, capsys, monkeypatch):
    """Contexts of Python 3.13 also want what an authority of three openssl commands does not have."""
    make = ssl.create_default_context

    def strict(**options: object) -> ssl.SSLContext:
        context = make(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    pair = authority.issue("plain")
    with running(scripted(), access=Access(TlsFiles(pair.cert, pair.key))) as address:
        assert examine(capsys, "--address", address, "--ca", str(authority.cert))[0] == 0


@pytest.mark.slow
def test_a_target_that_wants_a_certificate_of_the_client(authority, capsys):
    pair, mine = authority.issue("mutual"), authority.issue("client")
    with running(scripted(), access=Access(TlsFiles(pair.cert, pair.key, authority.cert))) as address:
        remote = Remote(DialSettings(address, ca=authority.cert), timeout=1.0)
        findings = list(run_checks(remote.checks()))
        remote.close()
        assert "give --client-cert and --client-key" in of(findings, "health", Level.FAIL)
        assert "log" not in of(findings, "health", Level.FAIL)
        words = ["--address", address, "--ca", str(authority.cert)]
        assert examine(capsys, *words, "--client-cert", str(mine.cert), "--client-key", str(mine.key))[0] == 0


def test_a_target_with_little_room_for_each(capsys):
    with running(scripted(), access=Access(quota=Quota(calls=1))) as address:
        _, findings = examine(capsys, "--address", address)
        assert "a token is judged in" in of(findings, "decode", Level.OK)
    with running(scripted(), access=Access(quota=Quota(tokens_per_minute=1))) as address:
        status, findings = examine(capsys, "--address", address)
    assert status == 0
    assert of(findings, "decode", Level.WARN).startswith("RESOURCE_EXHAUSTED: this tenant's 1 tokens a minute")
    assert "log" not in of(findings, "decode", Level.WARN)
    assert [len(finding.values["request_id"]) for finding in findings if finding.level is not Level.OK] == [16]


def test_a_target_of_another_version(capsys, monkeypatch):
    described = servicer.describe

    def newer(*who) -> wire.DescribeResponse:
        answer = described(*who)
        answer.protocol += 1
        return answer

    monkeypatch.setattr(servicer, "describe", newer)
    with running(scripted()) as address:
        status, findings = examine(capsys, "--address", address)
        assert status == 1
        assert "update Tandem here" in of(findings, "describe", Level.FAIL)
        assert findings[-1].name == "describe"
        assert cli.main(["bench", "--address", address]) == ProtocolError.exit_status
    assert "update Tandem here" in capsys.readouterr().err


def test_a_running_target_without_protection(authority, capsys):
    with running(scripted()) as address:
        assert examine(capsys, "--address", address)[0] == 0
        _, findings = examine(capsys, "--address", address, "--ca", str(authority.cert))
    assert "does the target have --tls-cert" in of(findings, "tls", Level.FAIL)


def test_nobody_there(capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        status, findings = examine(capsys, "--address", f"127.0.0.1:{port}")
    assert status == 1
    assert "connection refused" in of(findings, "reach", Level.FAIL)
    assert len(findings) == 2


@pytest.fixture
def stranger() -> Iterator[str]:
    """A gRPC server that knows nothing of ours."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_something_else_is_there(stranger, capsys):
    _, findings = examine(capsys, "--address", stranger)
    assert "not a Tandem target" in of(findings, "health", Level.FAIL)


@pytest.mark.parametrize(
    "words",
    [
        ["--address", "127.0.0.1:1", "--kv-memory", "1GiB"],
        ["--ca", "x.pem"],
        ["--client-key", "k"],
        ["--address", "nowhere"],
    ],
)
def test_what_makes_no_sense_is_one_sentence(words, capsys):
    assert cli.main(["doctor", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_check_that_breaks_is_a_finding():
    def broken() -> Iterator[Finding]:
        yield ok("a", "fine")
        raise ValueError("of a kind")

    def refusing() -> Iterator[Finding]:
        raise InputError("do this")
        yield

    found = list(run_checks([("one", broken), ("two", refusing)]))
    assert found[0] == ok("a", "fine")
    assert found[1].level is Level.FAIL
    assert "ValueError: of a kind" in found[1].sentence
    assert found[2] == fail("two", "do this")


def test_versions_that_do_not_fit(monkeypatch):
    real = requirements.version
    monkeypatch.setattr(requirements, "version", lambda name: "1.0.0" if name == "grpcio" else real(name))
    [finding] = machine.versions()
    assert finding.level is Level.FAIL
    assert "grpcio 1.0.0 is not" in finding.sentence


def test_a_containers_limits_count(tmp_path):
    files = SystemFiles(cgroup=tmp_path)
    whole = usable_cores(files)
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usable_cores(files) == 0.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(files) == whole
    (tmp_path / "memory.max").write_text("1048576\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert available_memory(files) == 1048576 - 1000
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 700\n")  # files that were read count as used, too
    assert available_memory(files) == 1048576 - 300
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    [finding] = machine.threads(4, files)
    assert finding.level is Level.WARN
    assert "--threads 1" in finding.sentence


@pytest.mark.parametrize(
    ("flags", "dtype", "level"),
    [("fpu avx512_bf16", None, Level.OK), ("fpu", None, Level.OK), ("fpu", "bfloat16", Level.WARN)],
)
def test_bfloat16_on_processors(tmp_path, monkeypatch, flags, dtype, level):
    files = SystemFiles(cpuinfo=tmp_path / "cpuinfo")
    monkeypatch.setattr("cloud_target.engine.hf.cpu.guard_bfloat16", lambda: False)
    files.cpuinfo.write_text(f"flags : {flags}\n")
    [finding] = machine.bfloat16("cpu", dtype, files)
    assert finding.level is level
