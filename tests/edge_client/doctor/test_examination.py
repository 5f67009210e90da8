"""`edge-client doctor` against targets behind a real port: sound, broken in every usual way, and silent."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import grpc
import pytest

from edge_client.bundles.bundle import Bundle
from edge_client.bundles.pocket import POCKET
from edge_client.cli import main as cli
from edge_client.doctor.device import Device
from edge_client.doctor.examination import LIMIT, Examination
from edge_client.doctor.worth import ask_rate
from edge_client.settings import Settings
from edge_client.target.credentials import Credentials
from edge_client.testing import ScriptedTarget
from edge_client.testing.scripts import random_script
from shared.findings import Finding, Level, run_checks
from shared.grammar import library
from shared.grammar.engine import GrammarEngine
from shared.manifest import read_manifest
from shared.wire.v1 import target_pb2 as wire
from tests.certificates import Authority, Pair
from tests.grpc_service import Servicer, serving, unused_port

# What all of it may take on a slow machine, seconds, where the doctor's own limit is much less.
PATIENCE = 60.0


def target(**changes: object) -> ScriptedTarget:
    manifest = read_manifest(POCKET)
    made = ScriptedTarget.of(manifest, random_script(manifest.vocabulary))
    for name, value in changes.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


def server_credentials(pair: Pair, client_ca: bytes | None = None) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.cert.read_bytes())], client_ca, bool(client_ca))


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def doctor(capsys) -> Callable[..., tuple[int, dict[str, Finding]]]:
    """Runs `edge-client doctor --json`; gives the exit status and what was found, the last of each name."""

    def run(port: int, *words: str, host: str = "127.0.0.1") -> tuple[int, dict[str, Finding]]:
        begin = perf_counter()
        status = cli.main(["doctor", "--json", "--target", f"{host}:{port}", *words])
        assert perf_counter() - begin < PATIENCE
        told = json.loads(capsys.readouterr().out)
        found = {f["name"]: Finding(Level(f["level"]), f["name"], f["sentence"], f.get("values", {})) for f in told}
        assert status == int(any(f["level"] == "fail" for f in told))
        return status, found

    return run


def test_a_sound_target(doctor):
    servicer = Servicer(target(_step=0.02))
    with serving(servicer) as port:
        status, found = doctor(port)
    assert status == 0
    names = ["credentials", "reach", "tls", "identity", "describe", "fit", "round trip", "bandwidth", "target step"]
    assert [name for name in found if name in names] == names
    assert [found[name].level for name in names[:-1]] == [Level.OK] * 8
    assert found["describe"].values["step"] == pytest.approx(0.02)
    assert found["round trip"].values["calls"] == 10
    # The scripted target does not say what its passes take, so what it told at its start counts.
    assert found["target step"].level is Level.WARN
    assert found["splitting"].values["pays"] is True
    assert "a pass of the target 20.0 ms" in found["splitting"].sentence


def test_whether_both_sides_keep_texts_to_the_same_schemas_is_told(doctor, monkeypatch):
    with serving(Servicer(target())) as port:
        status, found = doctor(port)
        assert (status, found["schemas"].level) == (0, Level.WARN)
        assert "keeps no text to a schema" in found["schemas"].sentence
        assert found["schemas"].sentence.endswith("other texts can be written")
    knows = target()
    knows._grammars = GrammarEngine(Bundle.load().tokenizer, knows.vocabulary)
    with serving(Servicer(knows)) as port:
        assert doctor(port)[1]["schemas"].level is Level.OK
        monkeypatch.setattr(library, "version", lambda: "llguidance 0.0.0")
        service = knows.describe
        assert "llguidance 0.0.0" in service().grammar_engine
        monkeypatch.setattr(knows, "describe", lambda: _with_engine(service(), "llguidance 9.9.9"))
        found = doctor(port)[1]
        assert found["schemas"].level is Level.WARN
        assert "llguidance 9.9.9, and this device with llguidance 0.0.0" in found["schemas"].sentence


def test_whether_exact_is_cloud_is_told(doctor, monkeypatch):
    knows = target()
    with serving(Servicer(knows)) as port:
        assert doctor(port)[1]["exact"].values == {"repeatable": True}
        message = knows.describe()
        message.dtype, message.repeatable = "bfloat16", False
        monkeypatch.setattr(knows, "describe", lambda: message)
        found = doctor(port)[1]["exact"]
        assert (found.level, found.values) == (Level.OK, {"repeatable": False})
        assert "near-ties turn in bfloat16" in found.sentence
        assert "noise" not in doctor(port)[1]
        found = doctor(port, "--criterion", "strict", "--budget", "0.01")[1]["noise"]
        assert found.level is Level.WARN
        assert "in float32, and this target computes in bfloat16" in found.sentence


def _with_engine(message: wire.DescribeResponse, engine: str) -> wire.DescribeResponse:
    message.grammar_engine = engine
    return message


def test_what_is_sent_is_what_it_says(doctor):
    service = target()
    servicer = Servicer(service)
    texts, calls, padding = [], [], []
    end = servicer.transport.release
    servicer.transport.release = lambda session: (texts.append(service.texts[session]), end(session))
    describe = servicer.Describe
    servicer.Describe = lambda request, context: (
        calls.append(1),
        padding.append(len(request.padding)),
        describe(request, context),
    )[-1]
    with serving(servicer) as port:
        _, found = doctor(port)
    sent = found["sent"].values
    assert (sent["calls"], sent["padding"]) == (len(calls), sum(padding))
    assert sum(padding) == 60 << 10
    [text] = texts
    prompt = Bundle.load().encode("Once upon a time")
    assert text[: len(prompt)] == prompt
    assert len(prompt) < sent["tokens"] < len(text)


def test_nothing_listens(doctor):
    status, found = doctor(unused_port())
    assert (status, list(found)[-1]) == (1, "reach")
    assert (
        "connection refused); check the address, the firewall, and that `cloud-target serve`" in found["reach"].sentence
    )


def test_a_host_that_nobody_knows(doctor):
    status, found = doctor(1, host="nobody.invalid")
    assert (status, list(found)[-1]) == (1, "name")
    assert "no host of the name nobody.invalid is known" in found["name"].sentence


def test_what_is_no_address(doctor):
    status, found = doctor(0, host="x:y")
    assert (status, list(found)[-1], found["credentials"].level) == (1, "credentials", Level.FAIL)


@pytest.mark.slow
@pytest.mark.parametrize(("words", "last"), [((), "describe"), (("--tls",), "tls")])
def test_a_port_that_never_answers(doctor, silent, capsys, words, last):
    begin = perf_counter()
    status, found = doctor(silent, *words)
    assert perf_counter() - begin < LIMIT
    assert (status, found[last].level) == (1, Level.FAIL)
    assert "--tls" in found[last].sentence or "nothing is said" in found[last].sentence


@pytest.mark.slow
def test_somebody_who_waits_is_told_for_what(silent, capfd):
    assert cli.main(["doctor", "--target", f"127.0.0.1:{silent}"]) == 1
    out, err = capfd.readouterr()
    assert err == "edge-client: still at describe; all checks of a target end within 20 s\n"
    assert out.splitlines()[-1].endswith(f"texts cannot be written with 127.0.0.1:{silent}, but with --mode local")


@pytest.mark.parametrize("stuck", ["getaddrinfo", "create_connection"])
def test_all_of_it_ends_within_the_limit(monkeypatch, stuck):
    """Whatever does not return: here the resolution of names, or a connection."""
    end = threading.Event()
    monkeypatch.setattr(socket, stuck, lambda *_, **__: end.wait(PATIENCE))
    begin, limit = perf_counter(), 1.2
    with Examination(Device(POCKET, Settings()), Settings(), "localhost:1", Credentials, limit) as examination:
        found = list(run_checks(examination.of_target()))
    assert perf_counter() - begin < PATIENCE / 2
    end.set()
    assert (found[-1].name, found[-1].level) == ("name" if stuck == "getaddrinfo" else "reach", Level.FAIL)


@pytest.mark.slow
def test_a_target_that_judges_nothing():
    servicer = Servicer(target())
    servicer.answered = 0
    device = Device(POCKET, Settings())
    list(run_checks(device.checks()))
    with (
        serving(servicer) as port,
        Examination(device, Settings(), f"127.0.0.1:{port}", Credentials, 4.0) as examination,
    ):
        found = {finding.name: finding for finding in run_checks(examination.of_target())}
    assert found["target step"].level is Level.FAIL
    assert found["fit"].level is Level.OK


def test_another_tokenizer(doctor):
    with serving(Servicer(target(_tokenizer_fingerprint="another"))) as port:
        status, found = doctor(port)
    assert (status, found["fit"].level) == (1, Level.FAIL)
    assert "has another tokenizer" in found["fit"].sentence
    assert found["fit"].sentence.endswith("(--bundle, --target)")
    assert not {"round trip", "target step", "splitting"} & found.keys()


def test_another_target(doctor):
    with serving(Servicer(target(_fingerprint="another", _step=0.02))) as port:
        status, found = doctor(port)
    assert (status, found["fit"].level) == (0, Level.WARN)
    assert "the verifier of the bundle pocket was trained for" in found["fit"].sentence
    asks = ask_rate(read_manifest(POCKET), Settings(), fits=False)
    assert f"sprint asks about {100 * asks:.1f} % of the tokens" in found["splitting"].sentence


def test_a_target_with_a_bundle_of_its_own_that_is_not_here_yet(doctor, tmp_path):
    offered = Path(shutil.copytree(POCKET, tmp_path / "offered"))
    made = target(_tokenizer_fingerprint="another", _fingerprint="another")
    made.offer(offered)
    with serving(Servicer(made)) as port:
        status, found = doctor(port)
        assert (status, found["fit"].level, "bundle pull" in found["fit"].sentence) == (0, Level.WARN, True)
        status, found = doctor(port, "--bundle", str(POCKET))
        assert (status, found["fit"].level) == (1, Level.FAIL), "who names a bundle writes with that one"


def test_the_bundle_is_the_one_last_used_with_the_target(doctor, tmp_path, monkeypatch):
    from edge_client.bundles.store import Store

    monkeypatch.setenv("TANDEM_BUNDLES", str(tmp_path / "kept"))
    contents = Store.of_this_user().add(POCKET, lambda: None)
    with serving(Servicer(target())) as port:
        Store.of_this_user().uses.note(f"127.0.0.1:{port}", contents.digest)
        _, found = doctor(port)
    assert found["bundle"].values["directory"] == str(tmp_path / "kept" / contents.digest)


def test_a_broken_bundle_leaves_the_way_to_be_looked_at(doctor, tmp_path):
    with serving(Servicer(target())) as port:
        status, found = doctor(port, "--bundle", str(tmp_path))
    assert (status, found["bundle"].level, found["describe"].level) == (1, Level.FAIL, Level.OK)
    assert "target step" not in found


@pytest.mark.parametrize(
    ("status", "name", "sentence"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "describe", "the target refused access: for a test (--token-file)"),
        (grpc.StatusCode.UNIMPLEMENTED, "describe", "what answers there is not a Tandem target"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "describe", "for a test"),
    ],
)
def test_a_target_that_refuses(doctor, tmp_path, status, name, sentence):
    token = tmp_path / "my.token"
    token.write_text("wrong\n")
    servicer = Servicer(target())
    is_it = status is not grpc.StatusCode.UNIMPLEMENTED
    servicer.abort, servicer.request_id = status, "5f0c" if is_it else None
    with serving(servicer) as port:
        end, found = doctor(port, "--token-file", str(token))
    assert (end, found[name].level, sentence in found[name].sentence) == (1, Level.FAIL, True)
    assert found[name].values == ({"request_id": "5f0c"} if is_it else {})
    assert found[name].sentence.endswith("; the target's log knows it as 5f0c") == is_it
    assert found["credentials"].values == {"token": True, "certificate": False, "tls": False}
    assert "wrong" not in str([str(finding) for finding in found.values()])


def test_a_file_that_is_not_there(doctor, tmp_path):
    status, found = doctor(1, "--token-file", str(tmp_path / "none"))
    assert (status, found["credentials"].level) == (1, Level.FAIL)
    assert found["credentials"].sentence.endswith("give a file that this user may read (--token-file)")


def test_tls_as_it_should_be(doctor, authority):
    with serving(Servicer(target()), 0, server_credentials(authority.issue("sound"))) as port:
        status, found = doctor(port, "--ca", str(authority.cert), host="localhost")
    assert (status, found["tls"].level) == (0, Level.OK)
    assert "for localhost, 127.0.0.1, valid until" in found["tls"].sentence
    assert "this device's clock" in found["tls"].sentence


@pytest.mark.slow
def test_the_usual_mistakes_with_tls(doctor, authority, tmp_path):
    ca = ("--ca", str(authority.cert))
    stranger = Authority(tmp_path / "stranger", "a stranger")
    for pair, words, sentence in (
        (authority.issue("over", days=-2), ca, "has a certificate that has expired; its operator must renew it"),
        (authority.issue("other", "gpu.example"), ca, "for another name than 127.0.0.1; use the name in it"),
        (stranger.issue("strange"), ca, "of an authority that this device does not know; name that authority (--ca)"),
    ):
        with serving(Servicer(target()), 0, server_credentials(pair)) as port:
            status, found = doctor(port, *words)
        assert (status, list(found)[-1], found["tls"].level) == (1, "tls", Level.FAIL)
        assert sentence in found["tls"].sentence
        assert ("it is for gpu.example" in found["tls"].sentence) == (pair.cert.stem == "other")


@pytest.mark.slow
def test_one_side_speaks_tls_and_the_other_does_not(doctor, authority):
    with serving(Servicer(target())) as port:
        status, found = doctor(port, "--ca", str(authority.cert))
    assert (status, "does not speak TLS" in found["tls"].sentence) == (1, True)
    with serving(Servicer(target()), 0, server_credentials(authority.issue("sound"))) as port:
        status, found = doctor(port)
    assert (status, found["describe"].level) == (1, Level.FAIL)
    assert "speaks TLS only; turn encryption on" in found["describe"].sentence
    assert found["describe"].sentence.endswith("(--tls, --ca)")


@pytest.mark.slow
def test_a_target_that_wants_a_certificate(doctor, authority):
    pair = authority.issue("sound")
    with serving(Servicer(target()), 0, server_credentials(pair, authority.cert.read_bytes())) as port:
        status, found = doctor(port, "--ca", str(authority.cert))
        assert (status, "it wants a client certificate" in found["describe"].sentence) == (1, True)
        mine = authority.issue("device", "device")
        own = ("--client-cert", str(mine.cert), "--client-key", str(mine.key))
        status, found = doctor(port, "--ca", str(authority.cert), *own)
        assert (status, found["credentials"].values["certificate"]) == (0, True)


def test_a_machine_that_is_local_only_opens_nothing(doctor, monkeypatch, capsys):
    monkeypatch.setenv("TANDEM_LOCAL_ONLY", "1")

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", opened)
    monkeypatch.setattr(socket, "getaddrinfo", opened)
    monkeypatch.setattr("edge_client.doctor.examination.GrpcTransport", opened)
    status, found = doctor(1)
    assert (status, list(found)[-1], found["target"].level) == (0, "target", Level.WARN)
    assert "no socket is opened" in found["target"].sentence
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "ok   target: TANDEM_LOCAL_ONLY is set" in out
    assert out.endswith("texts can be written by this device alone\n")
