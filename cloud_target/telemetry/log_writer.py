"""Writes the log from a thread of its own, so that whoever logs never waits for whoever reads it, or does not."""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from time import monotonic
from typing import TextIO

FIELDS = "fields"
# Lines that may wait to be written.
MOST = 1000
# Seconds that the end of the process waits for them: with these, too, it ends within what it promises after its drain.
LAST = 0.25


class LineQueue(QueueHandler):
    """Queues lines, formatted where they are logged; with no room they are lost, and the next one that has room says
    how many (`lines_lost`).

    Args:
        queue: bounded.
    """

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._waiting, self._lost = queue, 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        if self._lost:
            record = copy(record)  # other handlers see it, too
            setattr(record, FIELDS, getattr(record, FIELDS, {}) | {"lines_lost": self._lost})
        return super().prepare(record)

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait(record)
        except Full:
            self._lost += 1
        else:
            self._lost = 0

    def handleError(self, record: logging.LogRecord) -> None:
        """A line that cannot be formatted is lost: what the library says instead could wait for standard error."""
        self._lost += 1

    def flush(self) -> None:
        """Wait until all is written, for `LAST` at most."""
        with self._waiting.all_tasks_done:
            self._waiting.all_tasks_done.wait_for(lambda: not self._waiting.unfinished_tasks, LAST)


class LineWriter(QueueListener):
    """Writes what a `LineQueue` holds.

    Args:
        queue: the same.
        write: called with one line after the other, from the thread; may block, and fail.
    """

    def __init__(self, queue: Queue, write: Callable[[str], None]) -> None:
        super().__init__(queue)
        self._waiting, self._write = queue, write

    def handle(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):  # closed: there is nobody who could be told
            self._write(f"{record.message}\n")

    def stop(self) -> None:
        """Write what is queued, for `LAST` at most. A thread that hangs after that hinders no process from ending."""
        end, thread = monotonic() + LAST, self._thread
        with suppress(Full):
            self._waiting.put(None, timeout=LAST)
            if thread is not None:
                thread.join(max(0.0, end - monotonic()))


def writer(stream: TextIO | None) -> Callable[[str], None]:
    """How to write to a stream (None: to nobody).

    Where it is a file, by the system's own call: who blocks in a stream of Python keeps its lock, which the interpreter
    wants at its end.
    """
    if stream is None:
        return lambda text: None
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):

        def write(text: str) -> None:
            stream.write(text)
            stream.flush()

        return write
    encoding = stream.encoding or "utf-8"
    return lambda text: _write(descriptor, text.encode(encoding, "backslashreplace"))


def _write(descriptor: int, line: bytes) -> None:
    while line:
        try:
            line = line[os.write(descriptor, line) :]
        except BlockingIOError:  # somebody made it so, whose file it is, too
            select.select((), (descriptor,), ())
