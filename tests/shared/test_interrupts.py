"""Ctrl-C ends a program that is still loading at once, and is an exception where there is something to lose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from shared import interrupts
from shared.errors import INTERRUPTED
from shared.interrupts import before_the_end, end_at_once, interruptible
from tests.project.tree import ROOT

_PROGRAM = """
import os, signal, sys
from shared.interrupts import end_at_once, interruptible
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
end_at_once()
if sys.argv[1] == "working":
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("kept")
os.kill(os.getpid(), signal.SIGINT)
print("never")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("when", "printed"), [("loading", ""), ("working", "kept\n")])
def test_an_interrupt(when, printed):
    run = subprocess.run([sys.executable, "-uc", _PROGRAM, when], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, printed, "\n")


def test_what_is_to_be_tidied_is_tidied_before_the_end(monkeypatch, capfd):
    """In this process, which ends by an exception in the place of the real end."""

    class Ended(Exception):
        pass

    def end(status):
        raise Ended(status)

    tidied = []
    monkeypatch.setattr(interrupts, "_last", [])
    monkeypatch.setattr(os, "_exit", end)
    before_the_end(lambda: tidied.append("first"))
    before_the_end(lambda: tidied.append("second"))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        end_at_once()
        with pytest.raises(Ended, match=str(INTERRUPTED)):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert tidied == ["first", "second"]
    assert capfd.readouterr().err == "\n"


def test_whoever_has_a_handler_keeps_it():
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_at_once()
        with interruptible():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
