"""The library's server, but for who begins when: whoever has a token at once, all others by turns (`strangers.py`).

The library takes one call of a name after the other, each in several turns of the event loop, and begins all of them at
once: whoever makes thousands that are to be refused keeps those with a token waiting behind them. Here they are taken
many at a time, and a look at the token comes before everything else.

And a call whose name is no text is refused, and ends nothing. The library reads the name of each call that it knows
nothing of as UTF-8, within the loop that accepts all calls: one HEADERS frame of a stranger, with a `:path` that is
none, ends that loop, and with it the service. Here all calls that there are stand registered, which the library tells
apart by their bytes, and any other is handed on without a name.

This reaches into `grpc._cython.cygrpc`, as there is no other way; `open_server` falls back on the library's own server
where the installed version is built otherwise, and says what that means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from grpc._cython import cygrpc
from grpc.aio import _server as library

from cloud_target.server.once import PARTS, answer_once
from cloud_target.server.rations import Rations
from cloud_target.server.strangers import Strangers

_PARTS = (
    "AioServer",
    "_MethodResolver",
    "_RequestCallError",
    "_ServicerContext",
    "_handle_rpc",
    "_schedule_rpc_coro",
    "get_working_loop",
    *PARTS,
)
_LOOPS = ("_make_request_call_future", "_request_call", "_request_registered_call", "_server_main_loop")
# Of a call that is not registered: what it said is not looked at.
NAMELESS = ""
# Calls of one name that the library hands over in one turn of the event loop: honest ones stand behind strangers there.
_AT_ONCE = 16
_IS_KNOWN = all(hasattr(cygrpc, part) for part in _PARTS) and all(hasattr(cygrpc.AioServer, part) for part in _LOOPS)
_Metadata = Sequence[tuple[str, str | bytes]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Door:
    """Who is let in at once.

    Attributes:
        knows: whether whoever calls this, with this metadata, is known.
        is_in_vain: whether a call of this name by anybody else can only be refused.
        strangers: where everybody else waits.
        once: handlers that answer anybody, once a call (`once.py`), by name.
        rations: of those calls, that are answered at once.
    """

    knows: Callable[[str, _Metadata], bool]
    is_in_vain: Callable[[str], bool]
    strangers: Strangers
    once: Mapping[str, grpc.RpcMethodHandler]
    rations: Rations


class _Accepting(cygrpc.AioServer):
    """The library's accepting loop; see above."""

    interceptors: tuple[grpc.aio.ServerInterceptor, ...] = ()
    door: Door

    def add_registered_method_handlers(self, method_handlers: dict[str, grpc.RpcMethodHandler]) -> None:
        super().add_registered_method_handlers(method_handlers)
        self._known = {**getattr(self, "_known", {}), **method_handlers}

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:
        """The next call of this name, or of one that is not registered, as the library thinks; here they are all taken
        where they come, and there is no such call until the server is stopped."""
        return asyncio.get_running_loop().create_task(self._accept_all(method))

    async def shutdown(self, grace: float | None) -> None:
        """As the library's, and whoever waits is not begun when all has ended."""
        try:
            await super().shutdown(grace)
        finally:
            self.door.strangers.close()

    async def _accept_all(self, method: bytes | None) -> None:
        known, running = cygrpc._MethodResolver([], self._known), set[asyncio.Task[None]]()
        loop = asyncio.get_running_loop()
        name = NAMELESS if method is None else method.decode()

        def begin(call: Any) -> asyncio.Task[None]:
            if handler := self.door.once.get(name):
                task = loop.create_task(answer_once(handler, call))
            else:
                answer = cygrpc._handle_rpc(name, known, self.interceptors, call, loop, False)
                task = loop.create_task(cygrpc._schedule_rpc_coro(answer, call, loop, name))
            running.add(task)
            task.add_done_callback(running.discard)
            return task

        async def accept() -> None:
            while True:
                # Raises when the server is stopped, which whoever waits for this expects.
                call = await (self._request_call() if method is None else self._request_registered_call(method))
                try:
                    self._let_in(name, call, partial(begin, call))
                except Exception as error:  # whatever a stranger says, others go on being let in
                    log.error("a call could not be let in (%s)", type(error).__name__)
                del call  # one that was not begun, and does not wait, ends with this: CANCELLED

        await asyncio.gather(*(accept() for _ in range(_AT_ONCE)))

    def _let_in(self, name: str, call: Any, begin: Callable[[], asyncio.Task[None]]) -> None:
        context, door = cygrpc._ServicerContext(call, None, None, asyncio.get_running_loop()), self.door
        peer = context.peer()
        if not peer:  # its connection is gone already
            return
        if door.knows(name, context.invocation_metadata() or ()):
            door.strangers.welcome(peer)
            begin()
        elif name in door.once and door.rations.take(peer):
            begin()
        elif not door.strangers.is_leaving(peer):
            door.strangers.comes(peer, door.is_in_vain(name), begin)


class _Server(library.Server):
    """The library's server around that loop."""

    def __init__(
        self, interceptors: tuple[grpc.aio.ServerInterceptor, ...], options: tuple[tuple[str, Any], ...], door: Door
    ):
        self._loop = cygrpc.get_working_loop()
        self._server = _Accepting(self._loop, None, (), interceptors, options, None)
        self._server.interceptors, self._server.door = interceptors, door


def open_server(
    interceptors: Sequence[grpc.aio.ServerInterceptor], options: Sequence[tuple[str, Any]], door: Door
) -> library.Server:
    """A server whose handlers are to be registered (`add_registered_method_handlers`).

    Args:
        interceptors: see each call that comes, with an empty name where it is none that is registered.
        options: of the channels.
        door: lets calls in.
    """
    if _IS_KNOWN:
        with suppress(TypeError):  # it is made from other arguments
            return _Server(tuple(interceptors), tuple(options), door)
    log.warning(
        "grpcio %s is built otherwise than this Tandem knows; anybody who can connect may end this process by a call "
        "whose name is no text, and delay everybody's by many: install the version that constraints.txt names",
        grpc.__version__,
    )
    return library.server(interceptors=tuple(interceptors), options=tuple(options))


def accepts(server: library.Server) -> bool:
    """Whether a server that was started still accepts calls: the library ends that where something goes wrong, and
    tells nobody."""
    return bool(server._server.is_running())
