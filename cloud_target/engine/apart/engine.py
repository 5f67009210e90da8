"""The engine of another process, as if it were in this one."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from cloud_target.engine.apart.messages import Answer, Call, Failure, Features, Packed, Passed
from cloud_target.engine.interface import Engine, Feed, Scores, Vitals
from cloud_target.engine.load import load_engine
from cloud_target.engine.settings import EngineSettings
from shared.errors import TandemError, TargetError
from shared.resident import resident

log = logging.getLogger(__name__)
# Seconds after which a process that should have ended is killed.
_ENDS = 2.0
Tell = Callable[[str], None]


class EngineApart(Features):
    """See `Engine`. Where the other process fails in a way that only it knows, or is gone, each call is a RuntimeError,
    and the log says how.

    Args:
        link: to the other process, which `load_apart` began.
        process: that one.
        features: of its engine.
    """

    def __init__(self, link: Connection, process: subprocess.Popen[bytes], features: Features) -> None:
        super().__init__(**vars(features))
        self._link, self._process, self._vitals = link, process, Vitals()

    def forward(self, feeds: Sequence[Feed]) -> Sequence[Scores | TargetError]:
        """See `Engine`."""
        passed: Passed = self._ask(Call.FORWARD, [Packed.of(feed) for feed in feeds], feeds)
        self._vitals = passed.vitals
        return passed.found

    def trim(self, slot: int, tokens: int = 0) -> None:
        """See `Engine`; nobody waits for it."""
        with self._there():
            self._link.send((Call.TRIM, (slot, tokens)))

    def copy(self, source: int, target: int, count: int) -> None:
        """See `Engine`."""
        self._ask(Call.COPY, (source, target, count))

    def check_integrity(self) -> None:
        """See `Engine`."""
        self._ask(Call.CHECK, ())

    def vitals(self) -> Vitals:
        """See `Engine`; as it was after the last pass, but for memory."""
        return replace(self._vitals, resident=resident(self._process.pid))

    @property
    def is_there(self) -> bool:
        """Whether the other process has not ended. May be asked in any thread."""
        return self._process.poll() is None

    def show_where(self) -> None:
        """Have the other process write to standard error where its threads are. From any thread."""
        self._process.send_signal(signal.SIGUSR1)

    def close(self) -> None:
        """End the other process."""
        _end(self._link, self._process)

    def _ask(self, call: Call, arguments: Any, feeds: Sequence[Feed] = ()) -> Any:
        with self._there():
            self._link.send((call, arguments))
            while (answer := self._link.recv())[0] is Answer.TEXT:
                self._link.send(list(feeds[answer[1]].text))
        if answer[0] is Answer.FAILED:
            raise _error_of(answer[1])
        return answer[1]

    @contextmanager
    def _there(self) -> Iterator[None]:
        """Make one kind of error of all that says that the other process is gone."""
        try:
            yield
        except (EOFError, OSError):
            sentence = f"the engine's process {how_it_ended(self._process)}"
            log.error(sentence)
            raise RuntimeError(sentence) from None


def load_apart(
    settings: EngineSettings, tell: Tell = lambda _: None, load: Callable[[Any, Tell], Engine] = load_engine
) -> EngineApart:
    """Load an engine in a process of its own, which ends with this one.

    Args:
        tell: is told, in a sentence, what is otherwise than usual about it.
        load: does so, in the other process; a function of a module.

    Raises:
        InputError: the target cannot be loaded or served.
        TandemError: the other process ended while it loaded.
    """
    with ExitStack() as ends:
        ours, theirs = map(ends.enter_context, socket.socketpair())
        # Not by `-m`, for which a file in the working directory could stand in the place of a library.
        begin = (
            f"import sys; sys.path[:] = {sys.path!r}; from cloud_target.engine.apart.hosting import main; "
            f"main({theirs.fileno()}, {os.getpid()})"
        )
        # In a session of its own it does not hear of Ctrl-C, which is for whoever asks it.
        process = subprocess.Popen(
            [sys.executable, "-c", begin], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
        )
        link = Connection(ours.detach())
    try:
        link.send((load, settings))
        while (answer := link.recv())[0] is Answer.NOTE:
            tell(answer[1])
        if answer[0] is Answer.FAILED:
            raise _error_of(answer[1])
    except (EOFError, ConnectionError):
        how = how_it_ended(process)
        _end(link, process)
        raise TandemError(
            f"the process that loads the target {how}; where nothing above says why, and it was killed, there may be "
            "too little memory: give a narrower --dtype, or less --kv-memory"
        ) from None
    except BaseException:
        process.kill()
        _end(link, process)
        raise
    return EngineApart(link, process, answer[1])


def _end(link: Connection, process: subprocess.Popen[bytes]) -> None:
    """Let it hear that nothing more comes, and kill it where it does not listen."""
    link.close()
    try:
        process.wait(_ENDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def how_it_ended(process: subprocess.Popen[bytes]) -> str:
    """Such as "was killed by SIGKILL"."""
    with suppress(subprocess.TimeoutExpired):
        status = process.wait(_ENDS)
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return "does not answer any more"


def _error_of(failure: Failure) -> Exception:
    if isinstance(failure.error, TandemError):
        return failure.error
    log.error("the engine failed with %s\n%s", failure.kind, failure.frames)
    return failure.error or RuntimeError(failure.kind)
