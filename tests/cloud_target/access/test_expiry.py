"""Tokens that are good until a date: refused from then on, with a sentence of its own, and the log says so before."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target import cli
from cloud_target.access.expiry import AHEAD, EXPIRES, parse_date
from cloud_target.access.protection import Access
from cloud_target.access.tokens import TokenFile, add_line, new_token, parse_tokens
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import running
from edge_client.target.client import TargetClient
from edge_client.target.credentials import Credentials
from shared.config import Coupling, Sampling
from shared.errors import AccessDenied, InputError

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
HASH = "sha256:0123456789abcdef:" + "0" * 64
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda one: one.replace(microsecond=0))


class Clock:
    """Stands still until it is set."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "tokens.txt"


def add(path: Path, tenant: str, expires: datetime | None) -> str:
    token, line = new_token(tenant, expires)
    add_line(path, line)
    return token


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_a_date_is_the_same_moment_wherever_it_was_written(moment, minutes):
    here = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_date(here.isoformat()) == here
    [grant] = parse_tokens(f"acme {HASH} calls=3 {EXPIRES}{here.isoformat()}", Path("t")).values()
    assert (grant.expires, grant.limits) == (here, ("calls=3",))
    [grant] = parse_tokens(new_token("acme", here)[1], Path("t")).values()
    assert grant.expires == here


@pytest.mark.parametrize(
    "word",
    [
        "",
        "2027-01-31",
        "2027-01-31T00:00:00",
        "2027-02-30T00:00:00Z",
        "20270131T000000Z",
        "1",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_what_is_no_date(word):
    with pytest.raises(InputError, match=r"line 1: expires= must be followed by a date and time") as caught:
        parse_tokens(f"acme {HASH} {EXPIRES}{word}", Path("t"))
    assert "0123456789abcdef" not in str(caught.value)


def test_two_dates_are_one_too_many():
    date = f"{EXPIRES}2027-01-31T00:00:00Z"
    with pytest.raises(InputError, match="may stand there once"):
        parse_tokens(f"acme {HASH} {date} {date}", Path("t"))


def test_it_is_good_until_then_and_no_longer(path):
    clock, token, other = Clock(), add(path, "acme", NOON), add(path, "acme", None)
    file = TokenFile(path, clock)
    clock.at = NOON - timedelta(seconds=1)
    grant = file.authenticate(token)
    assert file.check(grant) == grant
    clock.at = NOON
    sentence = r"^this token was good until 2026-12-01 12:00 UTC; ask the target's operator for a new one$"
    with pytest.raises(AccessDenied, match=sentence):
        file.authenticate(token)
    with pytest.raises(AccessDenied, match=sentence):
        file.check(grant)
    with pytest.raises(AccessDenied, match="does not know this token"):
        file.authenticate(token[:-1] + ("A" if token[-1] != "A" else "B"))
    assert file.authenticate(other).expires is None, "tokens of one tenant may have dates of their own"


def test_the_log_warns_before_and_once_a_day(path, caplog):
    clock = Clock(NOON - AHEAD)
    token, _ = add(path, "acme", NOON), add(path, "other", None)
    with caplog.at_level(logging.WARNING, "cloud_target"):
        file = TokenFile(path, clock)
        file.authenticate(token)
        assert caplog.messages == []
        clock.at += timedelta(days=1, seconds=1)
        for _ in range(3):
            file.authenticate(token)
        assert caplog.messages == ["a token of acme will be refused from 2026-12-01 12:00 UTC; make another in time"]
        clock.at += timedelta(days=1)
        file.authenticate(token)
        assert len(caplog.messages) == 2
        clock.at = NOON
        with pytest.raises(AccessDenied):
            file.authenticate(token)
    assert caplog.messages[2].startswith("a token of acme has been refused since 2026-12-01 12:00 UTC")
    assert "tandem_" not in caplog.text


def test_a_stream_that_is_open_ends_with_that_sentence(path):
    clock = Clock()
    token = add(path, "acme", NOON + timedelta(hours=1))
    access = Access(tokens=TokenFile(path, clock))
    with (
        running(ScriptedEngine(random_script(8), 8, context=128), access=access) as address,
        TargetClient.connect(address, credentials=Credentials(token=token)) as client,
        client.session(Sampling(0.8, seed=5), Coupling.GUMBEL, (), 2) as session,
    ):
        assert len(list(session.write_on([1, 2], 3))) == 3
        clock.at += timedelta(hours=1)
        with pytest.raises(AccessDenied, match=r"was good until 2026-12-01 13:00 UTC"):
            list(session.write_on([1, 2], 9))


def test_the_command_that_makes_one(path, capsys):
    assert cli.main(["token", "new", "acme", "--days", "90", "--file", str(path)]) == 0
    token = capsys.readouterr().out.strip()
    expires = TokenFile(path).authenticate(token).expires
    assert abs(expires - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=5)
    assert cli.main(["token", "new", "acme", "--days", "999999999"]) == 2
    assert "there is no date 999999999 days from now" in capsys.readouterr().err
