"""One text's stream to the target, opened again after trouble, with everything that goes wrong counted."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, NoReturn

import grpc

from cloud_target.bench.tally import Tally
from shared.errors import LinkBroken, TargetRefused
from shared.wire import metadata
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub

# How long an edge waits for an answer, seconds.
PATIENCE = 30.0
# Pauses after trouble, seconds: the first, and the longest.
PAUSES = (0.05, 2.0)

_HOPELESS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.FAILED_PRECONDITION,
}


class Stream:
    """A Decode call. Request ids and the session are filled in here.

    Args:
        session: goes with the first request of every call.
        others: metadata that goes with every call.
        tally: where errors are counted.
        chance: for pauses.
    """

    def __init__(
        self, stub: TargetServiceStub, session: wire.Session, others: tuple, tally: Tally, chance: Random
    ) -> None:
        self._stub, self._session = stub, session
        self._metadata = metadata.about_session(session.session_id, others)
        self._tally, self._chance = tally, chance
        self._call: Any = None  # a grpc.aio.StreamStreamCall, of whose messages its types know nothing
        self._sent = self._failures = 0

    async def send(self, **fields: Any) -> None:
        """Send a request.

        Raises:
            LinkBroken: the stream is gone; another may do.
            TargetRefused: another try would end in the same way.
        """
        if self._call is None:
            self._call, self._sent = self._stub.Decode(metadata=self._metadata), 0
        self._sent += 1
        request = wire.DecodeRequest(request_id=self._sent, **fields)
        if self._sent == 1:
            request.session.CopyFrom(self._session)
        try:
            await self._call.write(request)
        except (grpc.RpcError, asyncio.InvalidStateError):
            await self._failed()

    async def receive(self) -> wire.DecodeResponse:
        """The next answer to the latest request.

        Raises:
            LinkBroken: the stream is gone; another may do.
            TargetRefused: another try would end in the same way.
        """
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    answer = await self._call.read()
            except (grpc.RpcError, TimeoutError) as error:
                await self._failed("NO ANSWER" if isinstance(error, TimeoutError) else None)
            if answer is grpc.aio.EOF:
                await self._failed()
            if answer.request_id == self._sent:
                self._failures = 0
                return answer

    async def close(self) -> None:
        """End the call in an orderly way."""
        call, self._call = self._call, None
        if call is None:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await call.done_writing()
                while await call.read() is not grpc.aio.EOF:
                    pass
        except (grpc.RpcError, asyncio.InvalidStateError, TimeoutError):
            call.cancel()

    async def _failed(self, name: str | None = None) -> NoReturn:
        """Count what happened, wait a little, and raise."""
        call, self._call = self._call, None
        code = None
        if name is None:
            code = await call.code()
            reason = dict(await call.trailing_metadata() or ()).get(metadata.REASON)
            name = f"{code.name} ({reason})" if reason else code.name
        else:
            call.cancel()
        self._tally.errors[name] += 1
        if code in _HOPELESS:
            raise TargetRefused(await call.details())
        first, longest = PAUSES
        pause = min(first * 2**self._failures, longest)
        self._failures += 1
        await asyncio.sleep(pause * (0.5 + self._chance.random()))
        raise LinkBroken(f"the stream broke: {name}")
