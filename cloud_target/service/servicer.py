"""The gRPC face of the service: it reads requests, runs their feeds, and turns errors into statuses.

Prompts, texts and token ids are never logged; an error that nobody foresaw is logged without its message, which might
hold some.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, closing

import grpc

from cloud_target.engine.interface import Engine, Feed
from cloud_target.service.decoding import answer
from cloud_target.service.requests import Limits, Request, parse_request, parse_session_id, parse_terms
from cloud_target.service.runner import Runner
from cloud_target.service.sessions import SessionTable
from cloud_target.service.statuses import REASON_KEY, status_of
from cloud_target.service.stream import RequestStream
from cloud_target.service.turns import Turns
from shared.errors import ProtocolError, TandemError
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceServicer

log = logging.getLogger(__name__)


@asynccontextmanager
async def statuses(context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
    """End the call with the status, the reason and the sentence of an error raised in the block."""
    try:
        yield
    except TandemError as error:
        await context.abort(status_of(error), str(error), ((REASON_KEY, error.reason),))
    except Exception as error:
        if context.done():
            return  # the edge is gone, so nobody is left to be told
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("a request failed with %s\n%s", type(error).__name__, frames.rstrip())
        message = "the target failed at this request; its log says where"
        await context.abort(grpc.StatusCode.INTERNAL, message, ((REASON_KEY, "INTERNAL"),))


class TargetServicer(TargetServiceServicer):
    """Answers `tandem.v1.TargetService` with an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limits = Limits.of(engine)
        self._runner = Runner(engine)
        self._table = SessionTable(engine.slots)
        self._turns = Turns(self._table)
        self._streams: set[RequestStream] = set()

    async def Describe(self, request: wire.DescribeRequest, context: grpc.aio.ServicerContext) -> wire.DescribeResponse:
        who = self._engine.description
        return wire.DescribeResponse(
            name=who.name,
            fingerprint=who.fingerprint,
            tokenizer_fingerprint=who.tokenizer_fingerprint,
            vocabulary=who.vocabulary,
            context=self._limits.context,
            max_request_tokens=self._limits.max_request_tokens,
            dtype=who.dtype,
        )

    async def Release(self, request: wire.ReleaseRequest, context: grpc.aio.ServicerContext) -> wire.ReleaseResponse:
        async with statuses(context):
            self._turns.release(parse_session_id(request.session_id))
        return wire.ReleaseResponse()

    async def Decode(self, requests: AsyncIterable[wire.DecodeRequest], context: grpc.aio.ServicerContext) -> None:
        stream, terms, last_id = RequestStream(), None, 0
        self._streams.add(stream)
        try:
            async with statuses(context), stream.reading(requests):
                while (message := await stream.next()) is not None:
                    if message.request_id <= last_id:
                        raise ProtocolError("request ids count from 1 and must grow within a stream")
                    last_id = message.request_id
                    if terms is None:
                        terms = parse_terms(message, self._limits)
                    elif message.HasField("session"):
                        raise ProtocolError("only the first request of a stream carries the session; open another")
                    await self._answer(parse_request(message, terms, self._limits), stream, context)
        finally:
            self._streams.discard(stream)

    async def _answer(self, request: Request, stream: RequestStream, context: grpc.aio.ServicerContext) -> None:
        """Drive the protocol: the verdict is always reached, what follows it only while nothing newer is wanted."""
        async with self._turns.take(request.terms.session_id) as turn:
            with closing(answer(turn.session, request, self._limits.context)) as steps:
                step, answered = next(steps), False
                while step is not None:
                    if isinstance(step, Feed):
                        if answered and (stream.pending or turn.unwanted):
                            return
                        step = steps.send(await self._runner.run(step))
                    else:
                        await context.write(step)
                        step, answered = next(steps, None), True

    def stop_streams(self) -> None:
        """End all streams after their present step; the edges are told to connect again."""
        for stream in self._streams:
            stream.close()

    def close(self) -> None:
        """End the engine's thread."""
        self._runner.close()
        self._table.check_integrity()
