"""Who may call: the file of tokens, what a server does with it, and what it says to those it does not know."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from pathlib import Path

import pytest

from cloud_target import cli
from cloud_target.access.admission import Admission
from cloud_target.access.followed import AGAIN, RETRY
from cloud_target.access.protection import Access as ServerAccess
from cloud_target.access.quotas import Quota
from cloud_target.access.tokens import TokenFile, add_line, new_token, parse_tokens
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import running
from cloud_target.server.timeouts import Timeouts
from edge_client.target.client import TargetClient
from edge_client.target.credentials import Credentials
from shared.config import Coupling, Sampling
from shared.errors import AccessDenied, InputError
from tests.cloud_target.access.test_followed import Seconds

PROMPT = [1, 2]
HASH = "sha256:0123456789abcdef:" + "0" * 64


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "tokens.txt"


def add(path: Path, tenant: str, limits: str = "") -> str:
    """A new token in the file."""
    token, line = new_token(tenant)
    add_line(path, f"{line} {limits}".rstrip())
    return token


def test_a_token_is_known_by_its_hash_alone(path):
    token, other = add(path, "acme", "calls=3"), add(path, "acme", "calls=3")
    assert token != other
    assert len(token) == len("tandem_") + 16 + 1 + 43
    text = path.read_text()
    assert token not in text
    assert token.split("_", 2)[2] not in text
    assert hashlib.sha256(token.encode()).hexdigest() in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file = TokenFile(path)
    assert {file.authenticate(t).tenant for t in (token, other)} == {"acme"}
    assert file.authenticate(token).limits == ("calls=3",)


def test_what_is_not_known(path):
    token = add(path, "acme")
    file = TokenFile(path)
    wrong_secret, wrong_id = token[:-1] + ("A" if token[-1] != "A" else "B"), token.replace("tandem_", "tandem_0", 1)
    for unknown in ("", "x", wrong_secret, wrong_id, token + "x", token.upper(), "tandem_é", new_token("acme")[0]):
        with pytest.raises(AccessDenied, match="does not know this token"):
            file.authenticate(unknown)
    with pytest.raises(AccessDenied, match="wants a token"):
        file.authenticate(None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("acme", "line 1: a line must hold a tenant, a hash and perhaps limits"),
        ("# fine\n\nacme tandem_0123456789abcdef_secret", "line 3: a line must hold a tenant, a hash"),
        (f"ac/me {HASH}", "must hold a tenant"),
        (f"acme {HASH} calls=0", "and limits may follow the hash: sessions=N"),
        (f"acme {HASH} tandem_secret", "and limits may follow the hash"),
        (f"acme {HASH} calls=1 calls=2", "and limits may follow the hash"),
        (f"acme {HASH} calls={'9' * 16}", "N above 0 with at most 15 digits"),
        (f"acme {HASH} calls={'9' * 5000}", "and limits may follow the hash"),
        (f"acme {HASH}\nother {HASH}", "line 2: this token is there already"),
        (f"acme {HASH} calls=1\nacme {HASH.replace('f', 'e')} calls=2", "other limits further up"),
    ],
)
def test_lines_that_make_no_sense(path, text, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        parse_tokens(text, path)
    assert "secret" not in str(caught.value)


def test_files_that_cannot_be_read(path, tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*no such file"):
        TokenFile(path)
    with pytest.raises(InputError, match="cannot write"):
        add_line(tmp_path / "no" / "where", "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="it is not text"):
        TokenFile(path)
    path.unlink()
    os.mkfifo(path)
    for use in (lambda: TokenFile(path), lambda: add_line(path, "")):  # neither waits for the other end
        with pytest.raises(InputError, match="no regular file"):
            use()
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InputError, match="no regular file"):
        TokenFile(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_the_file_is_followed(path, caplog):
    first = add(path, "acme")
    seconds = Seconds()
    file = TokenFile(path, seconds=seconds)
    grant = file.authenticate(first)
    second = add(path, "other")
    assert file.authenticate(second).tenant == "other"
    good = path.read_text()
    with caplog.at_level(logging.INFO, "cloud_target"):
        for bad in ("nonsense", None):
            path.write_text(bad) if bad else path.unlink()
            assert file.authenticate(second).tenant == "other"
            assert file.check(grant) == grant
        assert caplog.text.count("stay in use") == 2  # said once for each change
        path.write_text(good.splitlines()[1] + " calls=2\n")
        assert file.authenticate(second).limits == ("calls=2",)
    assert file.check(grant) == grant  # the file may be half written
    seconds.now += AGAIN
    with pytest.raises(AccessDenied, match="does not know"):
        file.authenticate(first)
    with pytest.raises(AccessDenied, match="withdrawn"):
        file.check(grant)


def test_a_file_that_is_empty_for_a_moment_ends_no_call(path):
    """As one is that is written in place: those who look meanwhile find nobody in it."""
    token = add(path, "acme")
    good, seconds = path.read_text(), Seconds()
    file = TokenFile(path, seconds=seconds)
    engine, access = ScriptedEngine(random_script(8), 8), ServerAccess(tokens=file)
    with (
        running(engine, access=access, timeouts=Timeouts(token_check=0.01)) as address,
        TargetClient.connect(address, credentials=Credentials(token=token)) as client,
        client.session(Sampling(), Coupling.GUMBEL, (), len(PROMPT)) as session,
    ):
        text = [*PROMPT, session.judge(PROMPT, 2).own.token]
        for half in ("", "# acme\n"):
            path.write_text(half)
            TargetClient.connect(address, credentials=Credentials(token=token)).close()
            path.write_text(good)
            TargetClient.connect(address, credentials=Credentials(token=token)).close()
            seconds.now += RETRY
            text.append(session.judge(text, len(text)).own.token)


def test_the_command_that_makes_tokens(path, capsys):
    assert cli.main(["token", "new", "acme"]) == 0
    shown, line = capsys.readouterr().out.splitlines()
    path.write_text(line.partition(":")[2].strip())
    assert TokenFile(path).authenticate(shown.split()[-1]).tenant == "acme"
    assert cli.main(["token", "new", "other", "--file", str(path)]) == 0
    out, err = capsys.readouterr()
    assert TokenFile(path).authenticate(out.strip()).tenant == "other"
    assert out.strip() not in err
    assert cli.main(["token", "new", "no/name"]) == 2
    assert "is not a name for a tenant" in capsys.readouterr().err
    path.write_text("something else\n")
    assert cli.main(["token", "new", "acme", "--file", str(path)]) == 2
    assert path.read_text() == "something else\n"


@pytest.mark.parametrize("metadata", [[("authorization", "Basic x")], [("authorization", "Bearer a")] * 2])
def test_other_kinds_of_authorization(path, metadata):
    add(path, "acme")
    with pytest.raises(AccessDenied, match="not one bearer token"):
        Admission(TokenFile(path), Quota(), lambda _: None).admit(metadata)


def refusal(address: str, token: str | None) -> str:
    with pytest.raises(AccessDenied) as caught:
        TargetClient.connect(address, credentials=Credentials(token=token))
    return str(caught.value)


def test_a_server_lets_only_its_tenants_in(path):
    token = add(path, "acme")
    engine = ScriptedEngine(random_script(8), 8)
    seconds = Seconds()
    with running(engine, access=ServerAccess(tokens=TokenFile(path, seconds=seconds))) as address:
        assert "this target wants a token; give the one from its operator" in refusal(address, None)
        unknown = new_token("acme")[0]
        sentence = refusal(address, unknown)
        assert "does not know this token" in sentence
        assert unknown not in sentence
        with (
            TargetClient.connect(address, credentials=Credentials(token=token)) as client,
            client.session(Sampling(), Coupling.GUMBEL, (), len(PROMPT)) as session,
        ):
            text = [*PROMPT, session.judge(PROMPT, 2).own.token]
            path.write_text("# nobody any more\n")
            TargetClient.connect(address, credentials=Credentials(token=token)).close()
            seconds.now += AGAIN
            with pytest.raises(AccessDenied, match="withdrawn"):  # in the middle of a stream too
                session.judge(text, 3)
        later = add(path, "acme")
        assert "does not know" in refusal(address, token)
        TargetClient.connect(address, credentials=Credentials(token=later)).close()


def test_limits_that_change_and_change_back_hold_for_calls_that_are_open(tmp_path):
    path = tmp_path / "tokens"
    token, line = new_token("acme")
    path.write_text(f"{line} context=16\n")
    admission = Admission(TokenFile(path), Quota(), lambda _: None)
    caller = admission.admit([("authorization", f"Bearer {token}")])
    for limits, context in (("context=1000", 1000), ("context=16", 16), ("", None)):
        path.write_text(f"{line} {limits}\n")
        admission.check(caller)
        assert caller.usage.quota.context == context
