"""The end of a process that is for another one only."""

from __future__ import annotations

import ctypes
import os
import signal

# Says to Linux: end this process when the one that began it is gone (prctl(2)).
_END_WITH_PARENT = 1


def end_with(parent: int) -> None:
    """See that this process ends with its parent, also where a pass hangs and it hears nothing of that."""
    if prctl := getattr(ctypes.CDLL(None), "prctl", None):
        prctl(_END_WITH_PARENT, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it went before
        os._exit(0)
