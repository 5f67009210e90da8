"""One line that grows on a terminal, and some of them elsewhere."""

from __future__ import annotations

import io

import pyte
import pytest

from edge_client.cli.growing import GrowingLine
from edge_client.testing import ManualClock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_screen(written: str) -> list[str]:
    """What a terminal shows of it."""
    screen = pyte.Screen(60, 5)
    pyte.Stream(screen).feed(written.replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display if line.strip()]


@pytest.mark.parametrize(("make", "seconds"), [(Terminal, 0.25), (io.StringIO, 10.0)])
def test_words_come_no_faster_than_they_are_read(make: type[io.StringIO], seconds: float) -> None:
    clock = ManualClock()
    line = GrowingLine(make(), clock.now)
    assert line.is_due
    line.write("one")
    assert not line.is_due
    clock.sleep(seconds * 0.99)
    assert not line.is_due
    clock.sleep(seconds * 0.02)
    assert line.is_due
    line.wait(3)
    clock.sleep(2.9)
    assert not line.is_due


def test_a_shorter_line_leaves_nothing_of_a_longer_one() -> None:
    stream = Terminal()
    line = GrowingLine(stream)
    line.write("a long line about it")
    line.write("a short one")
    assert on_screen(stream.getvalue()) == ["a short one"]
    line.write("the end", last=True)
    stream.write("what comes next")
    assert on_screen(stream.getvalue()) == ["the end", "what comes next"]


def test_what_comes_next_finds_room() -> None:
    for stream, shown in ((Terminal(), ["an error"]), (io.StringIO(), ["so far", "an error"])):
        line = GrowingLine(stream)
        line.write("so far")
        line.clear()
        line.clear()
        stream.write("an error")
        assert on_screen(stream.getvalue()) == shown
