"""The message of a call that has only one: read when its caller was let in, and not before.

Of a call with a single message gRPC's own handlers read all of it before anybody asks who sends it, however long that
takes. So all calls are handled here as streams, which on the wire they are.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from shared.errors import ProtocolError

M = TypeVar("M", bound=Message)


async def first_message(context: grpc.aio.ServicerContext, kind: type[M], seconds: float) -> M:
    """The first message of a call.

    Args:
        kind: of message.
        seconds: that it may take to come.

    Raises:
        ProtocolError: it took longer, there is none, or it is of another kind.
    """
    try:
        async with asyncio.timeout(seconds):
            message = await context.read()
    except TimeoutError:
        raise ProtocolError(f"the request did not come within {seconds:g} seconds; send it again") from None
    except DecodeError:
        raise ProtocolError("the request could not be read; both sides must run the same version of Tandem") from None
    if not isinstance(message, kind):
        raise ProtocolError("the call ended before its request came; send it again")
    return message
