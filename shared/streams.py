"""The standard streams of a process: what holds where somebody has closed them, or where nothing can be written."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import IO, TextIO

BROKEN_PIPE = 141  # as shells report SIGPIPE
# Seconds that a line may wait for a standard error that takes nothing at the moment.
_PATIENCE = 1.0


class _Closed(io.TextIOBase):
    """A standard output that was closed: a text that cannot be written is an error, as on a full disk.

    Args:
        place: keeps the descriptor from being given to another file, which would then get the text.
    """

    def __init__(self, place: IO[str]) -> None:
        self._place = place

    def close(self) -> None:
        self._place.close()
        super().close()

    def fileno(self) -> int:
        return self._place.fileno()

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


class _Lossy(io.RawIOBase):
    """Standard error: what cannot be written is lost, and ends nothing."""

    def __init__(self, place: TextIO) -> None:
        self._place = place

    def fileno(self) -> int:
        return self._place.fileno()

    def isatty(self) -> bool:
        return self._place.isatty()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:  # type: ignore[no-untyped-def]  # of all that is bytes in some form
        left = bytes(data)
        with suppress(OSError):
            while left:
                try:
                    left = left[os.write(self.fileno(), left) :]
                except BlockingIOError:  # somebody made it so, whose file it is, too
                    if not select.select((), (self.fileno(),), (), _PATIENCE)[1]:
                        break
        return len(data)


def mend_streams() -> None:
    """Whoever starts a program may have closed its streams (`<&-`), or full is what they lead to.

    Then there is nothing to read; what goes to standard output is an error; and messages are lost.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nothing = open(os.devnull, mode)  # noqa: SIM115 - for the process's life
            setattr(sys, name, _Closed(nothing) if name == "stdout" else nothing)
    place = sys.stderr
    sys.stderr = io.TextIOWrapper(
        _Lossy(place),  # it takes all at once, as a buffer does
        place.encoding,
        place.errors,
        line_buffering=True,
        write_through=True,
    )


def abandon_output() -> None:
    """Let what is still to be written to standard output go nowhere: nothing can, and the interpreter's last flush must
    not complain of it either."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave_the_pipe() -> int:
    """Whoever read the text has gone; returns the exit status."""
    abandon_output()
    return BROKEN_PIPE


def unwritten(program: str, error: OSError) -> str:
    """What is said where a file, or what the text is written to, failed; what is left of the text is given up."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        abandon_output()
    why = f"{error.strerror or error}{f', {error.filename}' if error.filename else ''}"
    return f"{program}: {why}; check the disk, or whatever the text is written to"
