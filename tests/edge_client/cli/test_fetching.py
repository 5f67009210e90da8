"""How far a bundle has come: not a word if it is soon there, and never too many."""

from __future__ import annotations

import io

from edge_client.cli.fetching import PATIENCE, Fetching
from edge_client.testing import ManualClock
from shared.contents import NAMES, BundleFile, Contents

CONTENTS = Contents("one", tuple(BundleFile(name, 1 << 20, "00" * 32) for name in NAMES))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO, seconds: float, chunks: int = 400) -> list[str]:
    """What is told of a bundle that comes in so many seconds; lines, of which a terminal replaces some."""
    clock = ManualClock()
    fetching = Fetching(stream, clock.now)
    for number in range(1, chunks + 1):
        clock.sleep(seconds / chunks)
        fetching(CONTENTS, CONTENTS.size * number // chunks)
    return stream.getvalue().replace("\r", "\r\n").splitlines()


def test_what_is_soon_there_is_not_worth_a_word():
    assert told(io.StringIO(), PATIENCE * 0.9) == told(Terminal(), PATIENCE * 0.9) == []


def test_on_a_terminal_one_line_grows():
    stream = Terminal()
    lines = told(stream, 10)
    assert lines[0].strip().startswith("edge-client: fetching the bundle one: ")
    assert 25 <= len([line for line in lines if line.strip()]) <= 34
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().rstrip().endswith("4 MiB of 4 MiB")


def test_elsewhere_a_line_now_and_then():
    lines = told(io.StringIO(), 60)
    assert 6 <= len(lines) <= 8
    assert lines[-1] == "edge-client: fetching the bundle one: 4 MiB of 4 MiB"


def test_each_bundle_begins_anew():
    clock, stream = ManualClock(), io.StringIO()
    fetching = Fetching(stream, clock.now)
    clock.sleep(PATIENCE * 2)
    fetching(CONTENTS, 1)
    clock.sleep(PATIENCE * 2)
    fetching(Contents("two", CONTENTS.files[::-1]), 1)  # the same files: the same bundle
    assert len(stream.getvalue().splitlines()) == 1
    other = Contents("three", tuple(BundleFile(file.name, 5, file.sha256) for file in CONTENTS.files))
    fetching(other, 5)
    assert len(stream.getvalue().splitlines()) == 1
