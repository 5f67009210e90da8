"""The requests of one Decode call, read ahead so that a newer one can end an older one's answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

import grpc
from google.protobuf.message import DecodeError

from cloud_target.scheduling.interface import STOPPING
from shared.errors import ProtocolError, TargetUnavailable
from shared.wire.v1 import target_pb2 as wire

# Requests that may wait, and their bytes. Beyond that the client is not read from, until its own flow control stops it.
READ_AHEAD = 64
READ_AHEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class Arrival:
    """A request and when it came, `perf_counter` seconds."""

    message: wire.DecodeRequest
    time: float


class RequestStream:
    """A queue of requests that knows when it ends and when the server wants to stop."""

    def __init__(self) -> None:
        self._waiting: deque[Arrival] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
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
                if self._closing:
                    return  # whoever sent it will hear that the server stops, and send it again elsewhere
                self._bytes += request.ByteSize()
                self._waiting.append(Arrival(request, perf_counter()))
                self._changed.set()
                while len(self._waiting) >= READ_AHEAD or self._bytes >= READ_AHEAD_BYTES:
                    self._taken.clear()
                    await self._taken.wait()
        except DecodeError:
            self._garbled = True
        except (grpc.aio.BaseError, grpc.RpcError):
            pass  # the edge is gone; its requests end here
        finally:
            self._ended = True
            self._changed.set()

    async def next(self) -> Arrival | None:
        """The next request, None at the end.

        Raises:
            TargetUnavailable: the server stops, and what had come before is answered.
            ProtocolError: what came is no request.
        """
        while True:
            if self._waiting:
                arrival = self._waiting.popleft()
                self._bytes -= arrival.message.ByteSize()
                self._taken.set()
                return arrival
            if self._closing:
                raise TargetUnavailable(STOPPING)
            if self._garbled:
                raise ProtocolError("a request could not be read; both sides must run the same version of Tandem")
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """Answer what has come, continue nothing, and then end."""
        self._closing = True
        self._changed.set()
