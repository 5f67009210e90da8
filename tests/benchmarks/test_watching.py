"""The watch sees what a process does, and what one that it starts does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.watching import Place, Watch, lingering, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why := why_not()), reason=f"nothing can be watched here: {why}"),
]

# Nothing is sent: a datagram socket that is connected only knows where it would send to.
CONNECT = "import socket; socket.socket({family}, socket.SOCK_DGRAM).connect(({host!r}, {port}))"

WRITE = """
import os, pathlib
for name in ("HOME", "TANDEM_STATE", "TMPDIR"):
    made = pathlib.Path(os.environ[name])
    made.mkdir(exist_ok=True)
    (made / "a file").write_text("")
    open(made / "a file").close()
open("here", "w").close()
os.rename("here", "there")
"""


def foreign(root: Path, program: str, *addresses: str) -> list[str]:
    place = Place(root)
    place.make()
    watch = Watch([sys.executable, "-c", program], place, addresses)
    watch.end()
    assert watch.status == 0, watch.said
    return watch.foreign()


def test_sockets(tmp_path):
    program = CONNECT.format(family="socket.AF_INET", host="203.0.113.1", port=53)
    (made, connected) = foreign(tmp_path / "a", program)
    assert made.startswith("socket(AF_INET, ")
    assert '"203.0.113.1"' in connected
    assert foreign(tmp_path / "b", program, "203.0.113.1:53") == foreign(tmp_path / "c", program, "203.0.113.1:*") == []
    (connected,) = foreign(tmp_path / "d", program, "203.0.113.1:54")
    assert connected.startswith("connect(")
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}])"
    assert len(foreign(tmp_path / "e", child)) == 2


def test_files(tmp_path):
    found = foreign(tmp_path / "x", WRITE)
    root = tmp_path / "x"
    assert found == [
        f"openat {root / 'home' / 'a file'}",
        f"openat {root}/elsewhere/here",
        f"rename {root}/elsewhere/here",
        f"rename {root}/elsewhere/there",
        "left behind: a file",
    ]


def test_a_reader_that_pauses_and_a_process_that_lives_on(tmp_path):
    for name, command, pause in (
        ("pausing", [sys.executable, "-c", "print('x' * 5000)"], 1.0),
        ("lingering", lingering("this", 1.0), 0.0),
    ):
        place = Place(tmp_path / name)
        place.make()
        watch = Watch(command, place, pause=pause)
        watch.end()
        assert watch.status == 0
        assert watch.lived >= 1.0
