"""Clients that vanish during a call, and calls that end with the server, which are nothing to tell: gRPC logs both.

Some of the former as errors with tracebacks: where it could not send something, and hears only then that the client is
gone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

# Where the library logs what it could not send.
_LOGGER = logging.getLogger("grpc._cython.cygrpc")
# What it says of a call that does something when the server has ended.
_ENDED = "Aborting method [%s] due to server stop."


@contextmanager
def vanished_untold() -> Iterator[None]:
    """Keep what the library says of those out of the log for as long as the block lasts."""
    _LOGGER.addFilter(_is_news)
    try:
        yield
    finally:
        _LOGGER.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    if record.exc_info is None:
        return record.msg != _ENDED
    return not isinstance(record.exc_info[1], grpc.aio.InternalError)
