"""Encrypted links: who may connect, what is refused in which words, and certificates that are replaced meanwhile."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_target import cli
from cloud_target.access.protection import Access as ServerAccess
from cloud_target.access.tls import TlsFiles
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import running
from edge_client.target.client import TargetClient
from edge_client.target.credentials import Credentials
from shared.config import Coupling, Sampling
from shared.errors import InputError, TargetUnavailable
from tests.certificates import Authority, Pair
from tests.cloud_target.protocol.reference import alone
from tests.grpc_service import unused_port
from tests.project.tree import ROOT

VOCABULARY, CONTEXT = 8, 64
SCRIPT = random_script(VOCABULARY)
SAMPLING = Sampling(0.8, seed=5)
PROMPT = [1, 2]


def serving(pair: Pair, client_ca: Path | None = None):
    engine = ScriptedEngine(SCRIPT, VOCABULARY, context=CONTEXT)
    return running(engine, access=ServerAccess(TlsFiles(pair.cert, pair.key, client_ca)))


def text_of(address: str, access: Credentials | None = None) -> list[int]:
    with (
        TargetClient.connect(address, credentials=access) as client,
        client.session(SAMPLING, Coupling.GUMBEL, (), len(PROMPT)) as session,
    ):
        return [*PROMPT, *(own.token for own in session.write_on(PROMPT, 20))]


TRUTH = alone(SCRIPT, PROMPT, SAMPLING, 22)


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "another authority")


@pytest.fixture(scope="module")
def server(authority) -> Iterator[str]:
    with serving(authority.issue("server")) as address:
        yield address


@pytest.fixture(scope="module")
def strict(authority) -> Iterator[str]:
    """A server that wants to see certificates."""
    with serving(authority.issue("strict"), authority.cert) as address:
        yield address


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    with running(ScriptedEngine(SCRIPT, VOCABULARY, context=CONTEXT)) as address:
        yield address


def test_a_text_over_tls(server, authority):
    access = Credentials(ca=authority.cert)
    assert access.tls
    assert text_of(server, access) == TRUTH
    assert text_of(server.replace("127.0.0.1", "localhost"), access) == TRUTH


def test_both_sides_show_certificates(strict, authority):
    client = authority.issue("client", "device.example")
    assert text_of(strict, Credentials(True, authority.cert, client.cert, client.key)) == TRUTH


def refusal(address: str, access: Credentials | None) -> str:
    with pytest.raises(TargetUnavailable) as caught:
        TargetClient.connect(address, credentials=access)
    return str(caught.value)


def test_plain_text_to_a_tls_port(server, strict):
    assert "speaks TLS only; turn encryption on" in refusal(server, None)
    assert "speaks TLS only" in refusal(strict, None)


def test_tls_to_a_plain_port(plain, authority):
    assert "does not speak TLS; leave encryption out" in refusal(plain, Credentials(ca=authority.cert))


def test_an_unknown_authority(server, stranger):
    assert "an authority that this device does not know; name that authority" in refusal(
        server, Credentials(ca=stranger.cert)
    )
    assert "an authority that this device does not know" in refusal(server, Credentials(tls=True))


def test_an_authority_in_the_users_home_with_its_name_in_front(server, authority, stranger, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, pair in (("ours", authority), ("theirs", stranger)):
        tmp_path.joinpath(f"{name}.pem").write_bytes("# Főtanúsítvány\n".encode() + pair.cert.read_bytes())
    assert text_of(server, Credentials(ca="~/ours.pem")) == TRUTH
    assert "an authority that this device does not know" in refusal(server, Credentials(ca="~/theirs.pem"))


def test_an_expired_certificate(authority):
    with serving(authority.issue("expired", days=-1)) as address:
        assert "a certificate that has expired" in refusal(address, Credentials(ca=authority.cert))


def test_a_certificate_for_another_host(authority):
    with serving(authority.issue("elsewhere", "gpu.example")) as address:
        sentence = refusal(address, Credentials(ca=authority.cert))
        assert "a certificate for another name than 127.0.0.1" in sentence
        assert "for another name than localhost" in refusal(
            address.replace("127.0.0.1", "localhost"), Credentials(ca=authority.cert)
        )


def test_no_client_certificate_or_a_wrong_one(strict, authority, stranger):
    assert "most likely it wants a client certificate: give one" in refusal(strict, Credentials(ca=authority.cert))
    other = stranger.issue("client", "device.example")
    assert "does not take this client certificate" in refusal(
        strict, Credentials(True, authority.cert, other.cert, other.key)
    )


@pytest.mark.slow
def test_nobody_at_the_port_is_no_question_of_tls(authority):
    address = f"127.0.0.1:{unused_port()}"
    assert "cannot reach the target" in refusal(address, Credentials(ca=authority.cert))


def test_certificates_are_replaced_without_a_restart(authority, stranger, tmp_path, caplog):
    old, new = authority.issue("old"), stranger.issue("new")
    live = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")

    def install(cert: bytes, key: bytes) -> None:
        for path, data in ((live.cert, cert), (live.key, key)):
            path.with_suffix(".new").write_bytes(data)
            os.replace(path.with_suffix(".new"), path)

    install(old.cert.read_bytes(), old.key.read_bytes())
    with serving(live) as address, TargetClient.connect(address, credentials=Credentials(ca=authority.cert)) as before:
        with caplog.at_level(logging.INFO, "cloud_target"):
            install(new.cert.read_bytes(), old.key.read_bytes())  # half way through
            assert text_of(address, Credentials(ca=authority.cert)) == TRUTH
            assert "stay in use" in caplog.text
            install(new.cert.read_bytes(), new.key.read_bytes())
            assert text_of(address, Credentials(ca=stranger.cert)) == TRUTH
            assert "read again" in caplog.text
        assert before.describe().context == CONTEXT  # a connection that was there stays
        assert "does not know" in refusal(address, Credentials(ca=authority.cert))


@pytest.mark.parametrize("spoil", ["missing", "pipe", "garbage", "another key", "no authority"])
def test_files_that_cannot_be_used(authority, tmp_path, spoil):
    good, other = authority.issue("good"), authority.issue("other")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("certainly no certificate")
    pipe = tmp_path / "pipe.pem"
    os.mkfifo(pipe)
    files, sentence = {
        "missing": (TlsFiles(tmp_path / "nowhere.pem", good.key), "cannot read .*nowhere.pem: no such file"),
        "pipe": (TlsFiles(pipe, good.key), "cannot read .*pipe.pem: it is no regular file"),
        "garbage": (TlsFiles(garbage, good.key), "cannot be used as a certificate and its key"),
        "another key": (TlsFiles(good.cert, other.key), "cannot be used as a certificate and its key"),
        "no authority": (TlsFiles(good.cert, good.key, garbage), "holds no certificates"),
    }[spoil]
    with pytest.raises(InputError, match=sentence):
        files.read()


@pytest.mark.parametrize("gone", ["cert", "client_ca"])
def test_files_that_vanish_while_they_are_read(authority, tmp_path, monkeypatch, gone):
    pair = authority.issue("vanishing")
    client_ca = tmp_path / "ca.pem"
    client_ca.write_bytes(authority.cert.read_bytes())
    files, read = TlsFiles(pair.cert, pair.key, client_ca), TlsFiles._bytes

    def read_and_remove(self: TlsFiles) -> tuple[bytes, bytes, bytes | None]:
        found = read(self)
        getattr(self, gone).unlink()
        return found

    monkeypatch.setattr(TlsFiles, "_bytes", read_and_remove)
    with pytest.raises(InputError, match="being replaced at this moment"):
        files.read()


def test_beyond_loopback_only_with_everything(authority, tmp_path, capsys):
    pair = authority.issue("public")
    tls = ["--tls-cert", str(pair.cert), "--tls-key", str(pair.key)]
    tokens = tmp_path / "tokens"
    tokens.write_text("")
    serve = ["serve", "--host", "192.0.2.7", "--port", "0"]
    for options, sentence in (
        ([], r"without encryption (--tls-cert and --tls-key) and tokens (--tokens):"),
        (tls, "without tokens (--tokens):"),
        (["--tokens", str(tokens)], "without encryption (--tls-cert and --tls-key):"),
        ([*tls, "--tokens", str(tokens)], "cannot listen on 192.0.2.7"),  # allowed, but not this machine's
        (["--tls-cert", str(pair.cert)], "needs both"),
        (["--client-ca", str(authority.cert)], "needs both"),
        (["--limits", "sessions=0"], "is not a limit"),
        (["--limits", "calls=" + "9" * 5000], "is not a limit"),
        (["--drain-seconds", "-1"], "between 0 and 86400"),
        (["--tokens", str(tmp_path / "nowhere")], "cannot read"),
    ):
        assert cli.main([*serve, *options]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert sentence in line


@pytest.mark.slow
def test_the_health_check(server, strict, authority):
    client = authority.issue("health", "device.example")
    mutual = ["--client-cert", str(client.cert), "--client-key", str(client.key)]

    def check(address: str, *options: str, **environment: str) -> tuple[int, str]:
        command = [sys.executable, str(ROOT / "deploy/healthcheck.py"), address, *options]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | environment)
        return run.returncode, run.stdout.strip() or run.stderr.strip()

    assert check(server, "--ca", str(authority.cert)) == (0, "SERVING")
    assert check(strict, *mutual, TANDEM_CA=str(authority.cert)) == (0, "SERVING")
    assert check(server) == (1, f"{server} does not answer (UNAVAILABLE); see whether it runs and speaks TLS")
    assert check(server, "--ca", str(authority.cert), "--server-name", "gpu.example")[0] == 1
    assert check(server, "--ca", "/no/such/file") == (
        2,
        "cannot read /no/such/file (No such file or directory); give a file that this user may read",
    )
