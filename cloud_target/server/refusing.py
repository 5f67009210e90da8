"""What the gRPC library would refuse by itself, and tell nobody here: refused in a sentence, like everything else.

What it refuses before it looks for the call's handler, no interceptor sees: docs/operations.md tells what that is.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

import grpc

from cloud_target.server.endings import ending
from shared.errors import ProtocolError, UnknownCall

_Read = Callable[[bytes], Any]


class Refusing(grpc.aio.ServerInterceptor):
    """Stands before all handlers of a server, each of which takes its messages as a stream.

    Args:
        most: bytes of the largest message. What is longer is read, as far as the library lets it in, so that whoever
            sends it can be told; but not parsed, which would take many times as much.
        refused: told the reason of each call that it refuses.
    """

    def __init__(self, most: int, refused: Callable[[str], None] = lambda _: None) -> None:
        self._most, self._refused = most, refused
        self._unknown: grpc.RpcMethodHandler = grpc.stream_stream_rpc_method_handler(self._refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(handler_call_details)
        return self._unknown if handler is None else self.bounded(handler)

    def bounded(self, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        """The same handler, which parses no message that is too long.

        Raises:
            TypeError: it takes no stream, or does not read it.
        """
        answer, read = handler.stream_stream, handler.request_deserializer
        if answer is None or read is None:
            raise TypeError(f"{answer} must take its messages as a stream, and read them")
        return grpc.stream_stream_rpc_method_handler(answer, self._bounded(read), handler.response_serializer)

    def _bounded(self, read: _Read) -> _Read:
        def bounded(data: bytes) -> Any:
            if len(data) > self._most:
                raise ProtocolError(
                    f"a message of {len(data)} bytes is larger than the {self._most} that this target takes; "
                    "send less, or ask its operator to take more"
                )
            return read(data)

        return bounded

    async def _refuse(self, _: AsyncIterable[Any], context: grpc.aio.ServicerContext) -> None:
        async with ending(context, self._refused):
            raise UnknownCall("the target has no call of this name; both sides must run the same version of Tandem")
