"""What strangers say is what HTTP/2 has for it: read back by a library that others wrote."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, PingReceived, RemoteSettingsChanged, RequestReceived, StreamEnded, StreamReset
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.siege.said import all_at_once, calls, framed, greeting, pings, settings


def heard(*said: bytes) -> list[object]:
    """What a server makes of it."""
    http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    http.initiate_connection()
    return [event for part in said for event in http.receive_data(part)]


def of(kind: type, events: list[object]) -> list[object]:
    return [event for event in events if isinstance(event, kind)]


@given(st.integers(1, 40), st.integers(0, 65_535))
def test_pings_and_settings(count, window):
    events = heard(greeting(window), pings(count), settings(count))
    assert len(of(PingReceived, events)) == count
    assert len(of(RemoteSettingsChanged, events)) == count + 1


@given(st.integers(0, 500), st.integers(1, 30), st.sampled_from(["reset", "end"]))
def test_calls_follow_each_other_on_one_connection(first, count, then):
    """Also when they are made in parts, and however many came before."""
    parts = [calls("/a/B", number, count, then, [("x", "y")]) for number in (first, first + count)]
    events = heard(greeting(), *parts)
    begun = of(RequestReceived, events)
    assert [event.stream_id for event in begun] == [2 * number + 1 for number in range(first, first + 2 * count)]
    assert all({(":path", "/a/B"), ("x", "y")} <= set(event.headers) for event in begun)
    assert len(of(StreamReset if then == "reset" else StreamEnded, events)) == 2 * count


def test_half_of_the_headers_is_no_call_yet():
    assert of(RequestReceived, heard(greeting(), calls("/a/B", 0, 1, "half"))) == []


@pytest.mark.parametrize("end", [False, True])
def test_all_at_once(end):
    message = framed(b"x" * 20_000)
    events = heard(all_at_once("/a/B", 3, message, [("x", "y")], window=0, end=end))
    assert len(of(RequestReceived, events)) == 3
    assert b"".join(event.data for event in of(DataReceived, events)) == 3 * message
    assert len(of(StreamEnded, events)) == 3 * end
