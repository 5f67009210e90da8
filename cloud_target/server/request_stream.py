"""The requests of one Decode call, read ahead so that a newer one can end an older one's answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import perf_counter

import grpc
from google.protobuf.message import DecodeError

from cloud_target.protocol.requests import Request
from shared.errors import ProtocolError, TandemError, TargetUnavailable
from shared.wire.v1 import target_pb2 as wire

# Requests that may wait, and their bytes; tokens take up to twenty times as much in memory. Beyond that the client is
# not read from, until its own flow control stops it.
READ_AHEAD = 256
READ_AHEAD_BYTES = 1 << 18


@dataclass(frozen=True)
class Arrival:
    """A request, the bytes that it took, and when it came, `perf_counter` seconds."""

    request: Request
    size: int
    time: float


class RequestStream:
    """A queue of requests that knows when it ends and when the server wants to stop.

    Args:
        read: reads each message as soon as it comes; what it gives is to be answered in its turn.
    """

    def __init__(self, read: Callable[[wire.DecodeRequest], Request | None]) -> None:
        self._read_one = read
        self._waiting: deque[Arrival] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._anything = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = False
        self._closing: str | None = None  # and why
        self._refused: TandemError | None = None

    @property
    def pending(self) -> bool:
        """Whether something newer than the request at work is here: what is unfinished of that one is not wanted."""
        return bool(self._waiting) or self._closing is not None or self._refused is not None

    def waiting(self) -> list[Request]:
        """The requests behind the one at work, in order."""
        return [arrival.request for arrival in self._waiting]

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
            async for message in requests:
                if self._closing is not None:
                    return  # whoever sent it will hear why, and send it again elsewhere
                request = self._read_one(message)
                self._anything.set()
                if request is None:
                    continue
                self._waiting.append(Arrival(request, message.ByteSize(), perf_counter()))
                self._bytes += self._waiting[-1].size
                self._changed.set()
                while len(self._waiting) >= READ_AHEAD or self._bytes >= READ_AHEAD_BYTES:
                    self._taken.clear()
                    await self._taken.wait()
        except TandemError as error:
            self._refused = error
        except DecodeError:
            self._refused = ProtocolError("a request could not be read; both sides must run the same version of Tandem")
        except (grpc.aio.BaseError, grpc.RpcError):
            pass  # the edge is gone; its requests end here
        finally:
            self._ended = True
            self._changed.set()
            self._anything.set()

    async def next(self) -> Arrival | None:
        """The next request, None at the end.

        Raises:
            TargetUnavailable: the stream was closed, and what had come before is answered.
            ProtocolError: what came is no request, or was refused as soon as it came.
        """
        while True:
            if self._waiting:
                arrival = self._waiting.popleft()
                self._bytes -= arrival.size
                self._taken.set()
                return arrival
            if self._closing is not None:
                raise TargetUnavailable(self._closing)
            if self._refused is not None:
                raise self._refused
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()

    async def until(self, enough: Callable[[], bool], seconds: float) -> None:
        """Wait until what has come is enough, or a request waits or the stream ends, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (enough() or self.pending or self._ended):
                    self._anything.clear()
                    await self._anything.wait()

    def close(self, why: str) -> None:
        """Answer what has come, continue nothing, and then end.

        Args:
            why: a sentence for whoever sends the requests.
        """
        self._closing = why
        self._changed.set()
        self._anything.set()
