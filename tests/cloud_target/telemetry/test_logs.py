"""What the service writes about itself, and what it must never write."""

from __future__ import annotations

import asyncio
import io
import json
import logging

from cloud_target.telemetry.calls import begin_call
from cloud_target.telemetry.logs import LogObserver, event, logging_to

LOG = logging.getLogger("cloud_target.test")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_text_lines():
    stream = io.StringIO()
    with logging_to(stream, "text", "info"):
        event(LOG, "started", address="127.0.0.1:1", parameters=5, share=0.25, why="two words")
    [line] = lines(stream)
    assert line[10] == "T"
    assert line.partition(" ")[2] == 'INFO started address=127.0.0.1:1 parameters=5 share=0.250 why="two words"'


def test_json_lines():
    stream = io.StringIO()
    with logging_to(stream, "json", "info"):
        event(LOG, "started", address="x:1", parameters=5)
        LOG.warning("it rains")
    first, second = map(json.loads, lines(stream))
    assert first.pop("time").endswith("Z")
    expected = {"level": "info", "logger": "cloud_target.test", "event": "started", "address": "x:1", "parameters": 5}
    assert first == expected
    assert (second["level"], second["event"]) == ("warning", "it rains")


def test_the_level_holds_and_is_put_back():
    stream = io.StringIO()
    before = logging.getLogger("cloud_target").level
    with logging_to(stream, "text", "warning"):
        event(LOG, "quiet")
        event(LOG, "loud", logging.ERROR)
    assert [line.split()[1:] for line in lines(stream)] == [["ERROR", "loud"]]
    assert logging.getLogger("cloud_target").level == before
    event(LOG, "after", logging.ERROR)
    assert len(lines(stream)) == 1


def test_exceptions_come_with_their_lines():
    stream = io.StringIO()
    with logging_to(stream, "json", "info"):
        try:
            raise ValueError("no")
        except ValueError:
            LOG.exception("it failed")
    [line] = lines(stream)
    assert "Traceback" in json.loads(line)["event"]


def test_a_stream_is_one_line_with_its_own_counts():
    """Streams that run at the same time do not count for each other."""
    stream, clock = io.StringIO(), Clock()
    observer = LogObserver(clock)

    async def call(tenant: str, answers: int) -> None:
        observer.streams(tenant, 1)
        for _ in range(answers):
            await asyncio.sleep(0)
            observer.answered(tenant, "verdict", 3, 1, 0.01)
        clock.now += 1.0
        observer.streams(tenant, -1)

    async def both() -> None:
        await asyncio.gather(call("anna", 2), call("", 5))

    with logging_to(stream, "json", "info"):
        asyncio.run(both())
    anna, other = sorted(map(json.loads, lines(stream)), key=lambda line: line["verdict"])
    assert anna["tenant"] == "anna"
    assert (anna["event"], anna["verdict"], anna["read"], anna["written"]) == ("stream ended", 2, 6, 2)
    assert (other["verdict"], other["read"], other["answering"]) == (5, 15, 0.05)
    assert "tenant" not in other
    assert anna["open"] >= 1.0


def test_answers_outside_a_stream_are_nobodys():
    observer = LogObserver(Clock())
    observer.answered("anna", "verdict", 3, 1, 0.01)
    observer.streams("anna", -1)


def test_whoever_debugs_is_told_of_every_refusal():
    stream = io.StringIO()
    observer = LogObserver(Clock())
    with logging_to(stream, "json", "debug"):
        for _ in range(3):
            observer.refused("anna", "BUSY")
    assert [line["level"] for line in map(json.loads, lines(stream))] == ["warning", "debug", "debug"]


def test_lines_have_the_id_of_their_call_and_no_other():
    """Calls that run at the same time are told apart, and what is about none of them has none."""
    stream, clock = io.StringIO(), Clock()
    observer = LogObserver(clock)

    async def call(name: str) -> None:
        begin_call([("x-request-id", name)], f"ipv4:192.0.2.1:{len(name)}")
        observer.streams("", 1)
        await asyncio.sleep(0)
        observer.room_waited(0.25)
        LOG.warning("it rains")
        observer.streams("", -1)
        observer.refused("", name)

    async def both() -> None:
        await asyncio.gather(call("one"), call("three"))

    with logging_to(stream, "json", "info"):
        asyncio.run(both())
        LOG.warning("it snows")
    told = [json.loads(line) for line in lines(stream)]
    assert sorted((line["event"], line["request"]) for line in told[:-1]) == [
        (event, name) for event in ("it rains", "refused", "stream ended") for name in ("one", "three")
    ]
    assert "request" not in told[-1]
    assert {line["peer"] for line in told if line["event"] == "refused"} == {"ipv4:192.0.2.1:3", "ipv4:192.0.2.1:5"}
    assert {line["room"] for line in told if line["event"] == "stream ended"} == {0.25}


def test_refusals_are_told_once_in_a_while():
    stream, clock = io.StringIO(), Clock()
    observer = LogObserver(clock)
    with logging_to(stream, "json", "warning"):
        for _ in range(5):
            observer.refused("anna", "BUSY")
        observer.refused("", "PROTOCOL")
        clock.now += 11.0
        observer.refused("anna", "BUSY")
        clock.now += 11.0
        observer.refused("anna", "BUSY")
    told = [(line["reason"], line.get("more_since_last")) for line in map(json.loads, lines(stream))]
    assert told == [("BUSY", None), ("PROTOCOL", None), ("BUSY", 4), ("BUSY", None)]
