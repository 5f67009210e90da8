"""The library's server, but for one thing: a call whose name is no text is refused, and ends nothing.

The library reads the name of each call that it knows nothing of as UTF-8, within the loop that accepts all calls: one
HEADERS frame of a stranger, with a `:path` that is none, ends that loop, and with it the service. Here all calls that
there are stand registered, which the library tells apart by their bytes, and any other is handed on without a name.

This reaches into `grpc._cython.cygrpc`, as there is no other way; `open_server` falls back on the library's own server
where the installed version is built otherwise, and says what that means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import grpc
from grpc._cython import cygrpc
from grpc.aio import _server as library

_PARTS = ("AioServer", "_MethodResolver", "_RequestCallError", "_handle_rpc", "_schedule_rpc_coro", "get_working_loop")
_LOOPS = ("_make_request_call_future", "_request_call", "_server_main_loop")
# Of a call that is not registered: what it said is not looked at.
_NAMELESS = ""
_IS_KNOWN = all(hasattr(cygrpc, part) for part in _PARTS) and all(hasattr(cygrpc.AioServer, part) for part in _LOOPS)

log = logging.getLogger(__name__)


class _Accepting(cygrpc.AioServer):
    """The library's accepting loop; see above."""

    interceptors: tuple[grpc.aio.ServerInterceptor, ...] = ()

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:
        """The next call of this name; without one, as many as come of any other, until the server is stopped."""
        if method is None:
            return asyncio.get_running_loop().create_task(self._refuse_all())
        return super()._make_request_call_future(method)

    async def _refuse_all(self) -> None:
        loop = asyncio.get_running_loop()
        nobody, running = cygrpc._MethodResolver([], {}), set[asyncio.Task[None]]()
        while True:
            call = await self._request_call()  # raises when the server is stopped, which whoever waits for this expects
            refusal = cygrpc._handle_rpc(_NAMELESS, nobody, self.interceptors, call, loop, False)
            task = loop.create_task(cygrpc._schedule_rpc_coro(refusal, call, loop, _NAMELESS))
            running.add(task)
            task.add_done_callback(running.discard)


class _Server(library.Server):
    """The library's server around that loop."""

    def __init__(self, interceptors: tuple[grpc.aio.ServerInterceptor, ...], options: tuple[tuple[str, Any], ...]):
        self._loop = cygrpc.get_working_loop()
        self._server = _Accepting(self._loop, None, (), interceptors, options, None)
        self._server.interceptors = interceptors


def open_server(
    interceptors: Sequence[grpc.aio.ServerInterceptor], options: Sequence[tuple[str, Any]]
) -> library.Server:
    """A server whose handlers are to be registered (`add_registered_method_handlers`).

    Args:
        interceptors: see each call that comes, with an empty name where it is none that is registered.
        options: of the channels.
    """
    if _IS_KNOWN:
        with suppress(TypeError):  # it is made from other arguments
            return _Server(tuple(interceptors), tuple(options))
    log.warning(
        "grpcio %s is built otherwise than this Tandem knows; anybody who can connect may end this process by a call "
        "whose name is no text: install the version that constraints.txt names",
        grpc.__version__,
    )
    return library.server(interceptors=tuple(interceptors), options=tuple(options))


def accepts(server: library.Server) -> bool:
    """Whether a server that was started still accepts calls: the library ends that where something goes wrong, and
    tells nobody."""
    return bool(server._server.is_running())
