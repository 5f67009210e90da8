"""How calls end that go wrong: every error as a status, a reason and a sentence, with the id that the log knows it by.

An error that nobody foresaw is logged without its message, which might hold some of a text or its token ids.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc

from cloud_target.server.statuses import metadata_of, status_of
from cloud_target.telemetry.calls import begin_call
from shared.errors import TandemError
from shared.wire import metadata

log = logging.getLogger(__name__)


@asynccontextmanager
async def ending(context: grpc.aio.ServicerContext, refused: Callable[[str], None]) -> AsyncIterator[None]:
    """End the call with the status, the metadata and the sentence of an error raised in the block; what is logged there
    has the call's id.

    Args:
        refused: told of the error's reason.
    """
    call = begin_call(context.invocation_metadata() or (), context.peer())
    named = (metadata.REQUEST_ID, call.id)
    try:
        yield
    except TandemError as error:
        refused(error.reason)
        await context.abort(status_of(error), str(error), (*metadata_of(error), named))
    except grpc.aio.BaseError:
        raise  # so says the library where the edge is gone, or the server is stopped, and knows what to do
    except Exception as error:
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("a request failed with %s\n%s", type(error).__name__, frames.rstrip())
        refused("INTERNAL")
        message = "the target failed at this request; its log says where"
        await context.abort(grpc.StatusCode.INTERNAL, message, ((metadata.REASON, "INTERNAL"), named))
