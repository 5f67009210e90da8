"""Calls that get one answer each, told in a tenth of what a call takes through the library's own handlers.

Those set up two tasks of a call and send its answer in three parts. Here it is read, and answered in one go: for
questions that anybody may ask, as often as he connects.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc._cython import cygrpc

# What the library's own handlers give to say nothing special.
_NO_FLAGS = 0
_OK = 0
PARTS = (
    "AbortError",
    "BaseError",
    "ExecuteBatchError",
    "ReceiveCloseOnServerOperation",
    "SendInitialMetadataOperation",
    "SendMessageOperation",
    "SendStatusFromServerOperation",
    "_ServicerContext",
    "execute_batch",
)


class Once(cygrpc._ServicerContext):
    """What a handler sees of a call that it answers once.

    Args:
        call: of the library.
        read, write: its messages.
    """

    def __init__(self, call: Any, read: Any, write: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._call, self._write, self._running = call, write, loop

    async def tell_only(self, answer: Message) -> None:
        """Wait until the answer is on its way, and the call over."""
        ops = (
            cygrpc.SendInitialMetadataOperation((), _NO_FLAGS),
            cygrpc.SendMessageOperation(self._write(answer), _NO_FLAGS),
            cygrpc.SendStatusFromServerOperation((), _OK, "", _NO_FLAGS),
            cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),
        )
        await cygrpc.execute_batch(self._call, ops, self._running)


async def answer_once(handler: grpc.RpcMethodHandler, call: Any) -> None:
    """Answer a call with a handler that calls `tell_only`, if only once.

    Whoever leaves meanwhile is told nothing, and nobody is told of him.
    """
    loop = asyncio.get_running_loop()
    context = Once(call, handler.request_deserializer, handler.response_serializer, loop)
    answer: Any = handler.stream_stream
    with suppress(cygrpc.BaseError, cygrpc.ExecuteBatchError):
        try:
            await answer(None, context)
        except cygrpc.AbortError as refused:
            # It holds the call, which holds it, and a connection may have so many calls that are not forgotten yet.
            refused.__traceback__ = refused.__context__ = None
            # The library cancels what is dropped before that is on its way.
            await cygrpc.execute_batch(call, (cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),), loop)
