"""What the other process does: it loads an engine, and does as it is told until nobody tells it anything any more."""

from __future__ import annotations

import faulthandler
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from cloud_target.engine.apart.ending import end_with
from cloud_target.engine.apart.messages import Answer, Call, Failure, Features, Passed
from cloud_target.engine.interface import Engine
from shared.quiet import leave_nothing_behind


def main(descriptor: int, parent: int) -> None:
    """Host an engine for the process that holds the other end of this connection.

    Args:
        descriptor: of our end.
        parent: the other process.
    """
    # Asked where it is, by whoever thinks that a pass hangs.
    faulthandler.register(signal.SIGUSR1)
    end_with(parent)
    leave_nothing_behind()
    with suppress(EOFError, ConnectionError):  # whoever it was for is gone
        host(Connection(descriptor))
    os._exit(0)  # to take large libraries down in order takes seconds


def host(link: Connection) -> None:
    """Load the engine that is asked for, and do as it is told.

    Raises:
        EOFError, ConnectionError: the other side is gone.
    """
    load, settings = link.recv()
    try:
        engine: Engine = load(settings, lambda note: link.send((Answer.NOTE, note)))
    except Exception as error:
        link.send((Answer.FAILED, _failure(error)))
        return
    link.send((Answer.READY, Features.of(engine)))
    while True:
        call, arguments = link.recv()
        if call is Call.TRIM:
            engine.trim(*arguments)
            continue
        try:
            answer = Answer.DONE, _do(engine, call, arguments, link)
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            answer = Answer.FAILED, _failure(error)
        link.send(answer)


def _do(engine: Engine, call: Call, arguments: Any, link: Connection) -> Any:
    if call is Call.COPY:
        return engine.copy(*arguments)
    if call is Call.CHECK:
        return engine.check_integrity()
    feeds = [packed.unpack(_fetching(index, link)) for index, packed in enumerate(arguments)]
    return Passed(list(engine.forward(feeds)), engine.vitals())


def _fetching(index: int, link: Connection) -> Callable[[], list[int]]:
    def fetch() -> list[int]:
        link.send((Answer.TEXT, index))
        ids: list[int] = link.recv()
        return ids

    return fetch


def _failure(error: Exception) -> Failure:
    return Failure.of(error, "".join(traceback.format_tb(error.__traceback__)).rstrip())
