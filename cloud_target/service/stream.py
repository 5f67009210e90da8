"""The requests of one Decode call, read ahead so that a newer one can end an older one's answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

import grpc
from google.protobuf.message import DecodeError

from shared.errors import ProtocolError, TargetUnavailable
from shared.wire.v1 import target_pb2 as wire

# Requests that may wait. Beyond it the client is not read from, until its own flow control stops it.
READ_AHEAD = 64


class RequestStream:
    """A queue of requests that knows when it ends and when the server wants to stop."""

    def __init__(self) -> None:
        self._waiting: deque[wire.DecodeRequest] = deque()
        self._room = asyncio.Semaphore(READ_AHEAD)
        self._changed = asyncio.Event()
        self._ended = self._closing = self._garbled = False

    @property
    def pending(self) -> bool:
        """Whether something newer than the request at work is here: what is unfinished of that one is not wanted."""
        return bool(self._waiting) or self._closing

    @asynccontextmanager
    async def reading(self, requests: AsyncIterable[wire.DecodeRequest]) -> AsyncIterator[None]:
        """Read `requests` for as long as the block lasts."""
        reader = asyncio.create_task(self._read(requests))
        try:
            yield
        finally:
            reader.cancel()

    async def _read(self, requests: AsyncIterable[wire.DecodeRequest]) -> None:
        try:
            async for request in requests:
                await self._room.acquire()
                self._waiting.append(request)
                self._changed.set()
        except DecodeError:
            self._garbled = True
        except (grpc.aio.BaseError, grpc.RpcError):
            pass  # the edge is gone; its requests end here
        finally:
            self._ended = True
            self._changed.set()

    async def next(self) -> wire.DecodeRequest | None:
        """The next request, None at the end.

        Raises:
            TargetUnavailable: the server stops.
            ProtocolError: what came is no request.
        """
        while True:
            if self._closing:
                raise TargetUnavailable("the target is shutting down; connect again")
            if self._waiting:
                self._room.release()
                return self._waiting.popleft()
            if self._garbled:
                raise ProtocolError("a request could not be read; both sides must run the same version of Tandem")
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """Let the present step be the last."""
        self._closing = True
        self._changed.set()
