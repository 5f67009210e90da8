"""What the service writes about itself: one line an event, as text or as JSON, on standard error.

Lines hold counts, times, reasons, the names of tenants, the ids of calls, and where a call came from that was refused;
never text, token ids or session ids. Without `--log-level info` only warnings and errors are written.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Queue
from time import monotonic
from typing import Any, TextIO

from cloud_target.telemetry.calls import present_call
from cloud_target.telemetry.log_writer import FIELDS, MOST, LineQueue, LineWriter, writer
from cloud_target.telemetry.observer import Observer

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
LOGGER = "cloud_target"
# Whose lines are written beside ours: the library that sends spans, and Python's warnings.
_OTHERS = "opentelemetry", "py.warnings"
# Refusals of one reason are told once in so many seconds, with how many there were since.
QUIET = 10.0


@contextmanager
def logging_to(stream: TextIO | None = None, form: str = "text", level: str = "warning") -> Iterator[None]:
    """Write the events of this package, from `level` on, to `stream` (standard error) while the block lasts, and beside
    them what libraries warn of. Nobody who logs waits for the stream, and the end of the block not long (`LAST`)."""
    queue: Queue = Queue(MOST)
    handler, lines = LineQueue(queue), LineWriter(queue, writer(stream or sys.stderr))
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logger = logging.getLogger(LOGGER)
    before, unhandled = logger.level, logging.lastResort
    logger.setLevel(level.upper())
    all_of_them = logger, *map(logging.getLogger, _OTHERS)
    lines.start()
    for one in all_of_them:
        one.addHandler(handler)
    # What libraries log without any handler, and their warnings, would be written to standard error where they stand.
    logging.lastResort = handler
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.lastResort = unhandled
        for one in all_of_them:
            one.removeHandler(handler)
        logger.setLevel(before)
        lines.stop()


def write_the_rest() -> None:
    """Wait until what was logged is written, not long (`LAST`): for a process that ends without leaving its blocks."""
    for handler in logging.getLogger(LOGGER).handlers:
        if isinstance(handler, LineQueue):
            handler.flush()


def event(logger: logging.Logger, message: str, level: int = logging.INFO, **fields: object) -> None:
    """Log one event: a few words that are always the same, and the values that are not."""
    if logger.isEnabledFor(level):
        logger.log(level, message, extra={FIELDS: fields})


class TextFormatter(logging.Formatter):
    """`2026-11-24T07:30:00.123Z INFO stream ended request=5f0c42a9b1d7e386 answers=3 seconds=0.21`"""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_plain(value)}" for name, value in _fields(record).items())
        return f"{_time(record)} {record.levelname} {record.getMessage()}{fields}{_trace(self, record)}"


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, event, the call that it is about, and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        about = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        about["event"] = record.getMessage() + _trace(self, record)
        return json.dumps(about | _fields(record), ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    call = present_call()
    return ({"request": call.id} if call else {}) | getattr(record, FIELDS, {})


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _plain(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(' ="\n') else text


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return f"\n{formatter.formatException(record.exc_info)}" if record.exc_info else ""


@dataclass
class _OpenStream:
    """What passed over one stream so far."""

    begun: float
    answers: dict[str, int] = field(default_factory=dict)
    read: int = 0
    written: int = 0
    answering: float = 0.0
    room: float = 0.0


# Each Decode call runs in a context of its own, so its events find their stream without anybody naming it.
_STREAM: ContextVar[_OpenStream | None] = ContextVar("stream", default=None)


class LogObserver(Observer):
    """Logs one line a stream when it has ended, and refusals: of each reason not too many, but for whoever debugs."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._log = logging.getLogger(f"{LOGGER}.server")
        self._clock = clock
        self._told: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def streams(self, tenant: str, change: int) -> None:
        if change > 0:
            _STREAM.set(_OpenStream(self._clock()))
        elif stream := _STREAM.get():
            _STREAM.set(None)
            counts = stream.answers | {"read": stream.read, "written": stream.written}
            seconds = {"answering": stream.answering, "room": stream.room, "open": self._clock() - stream.begun}
            about = _of(tenant) | counts | {name: round(value, 4) for name, value in seconds.items()}
            event(self._log, "stream ended", **about)

    def room_waited(self, seconds: float) -> None:
        if stream := _STREAM.get():
            stream.room += seconds

    def answered(self, tenant: str, kind: str, read: int, written: int, seconds: float) -> None:
        if stream := _STREAM.get():
            stream.answers[kind] = stream.answers.get(kind, 0) + 1
            stream.read += read
            stream.written += written
            stream.answering += seconds

    def refused(self, tenant: str, reason: str) -> None:
        call, now = present_call(), self._clock()
        about = _of(tenant) | ({"peer": call.peer} if call else {}) | {"reason": reason}
        if now - self._told.get(reason, -QUIET) < QUIET:
            self._untold[reason] = self._untold.get(reason, 0) + 1
            event(self._log, "refused", logging.DEBUG, **about)
            return
        self._told[reason] = now
        before = self._untold.pop(reason, 0)
        more = {"more_since_last": before} if before else {}
        event(self._log, "refused", logging.WARNING, **about, **more)


def _of(tenant: str) -> dict[str, Any]:
    return {"tenant": tenant} if tenant else {}
