"""Clients that vanish during a call, which is nothing to tell: gRPC logs some as errors with tracebacks.

It does so where it could not send something, and hears only then that the client is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

# Where the library logs what it could not send.
_LOGGER = logging.getLogger("grpc._cython.cygrpc")


@contextmanager
def vanished_untold() -> Iterator[None]:
    """Keep what the library says of clients that are gone out of the log for as long as the block lasts."""
    _LOGGER.addFilter(_is_news)
    try:
        yield
    finally:
        _LOGGER.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], grpc.aio.InternalError)
