"""A link without root: a TCP relay on loopback that lets bytes out later than they came in.

A stream cannot lose bytes. Where a packet is lost, all that is behind it waits for the retransmission; for the lone
small packets of a conversation that is Linux's tail loss probe, two round trips and 200 ms (RFC 8985, section 7.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import threading
from collections.abc import Coroutine
from functools import partial
from typing import Self

from benchmarks.network.one_way import OneWay, both_ways
from benchmarks.network.profiles import Profile
from shared.addresses import parse_address
from shared.errors import InputError

_CHUNK = 16 * 1024
_UNDER_WAY = 1024  # chunks, of one direction
_PROBE = 0.2


class Relay:
    """Connections to `address` come out at the target's address, as over the link. Closed at the end of a `with` block.

    Args:
        target: host:port.
        port: to listen on; 0 for a free one.

    Raises:
        InputError: the target is no address, or the port cannot be had.

    Attributes:
        address: host:port for the device.
        carried: bytes from the device and to it that have come in so far, of all connections.
    """

    def __init__(self, profile: Profile, target: str, port: int = 0, seed: int = 0) -> None:
        self._profile, self._seed = profile, seed
        self._target = parse_address(target)
        self._family = socket.AF_INET6 if ":" in self._target[0] else socket.AF_INET
        try:
            self._server = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            sentence = (
                f"cannot listen on 127.0.0.1:{port} ({error.strerror or error}); give another port, or 0 for a free one"
            )
            raise InputError(sentence, options=("port",)) from error
        self._server.setblocking(False)
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.carried = (0, 0)
        self._connections: set[asyncio.Task[None]] = set()
        # epoll waits for whole milliseconds, which is as long as the shortest link; select for microseconds.
        self._loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection, as a lost link does in the end; new ones are taken."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        self._loop.add_reader(self._server, self._accept)
        self._loop.run_forever()
        self._loop.remove_reader(self._server)
        self._server.close()
        self._loop.run_until_complete(self._cut())
        self._loop.close()

    def _accept(self) -> None:
        # Not awaited: a connection that came just when the waiting was cancelled would belong to nobody.
        with contextlib.suppress(OSError):
            device, _ = self._server.accept()
            task = self._loop.create_task(self._serve(device))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
            task.add_done_callback(partial(_close, device))

    async def _cut(self) -> None:
        ending = list(self._connections)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _serve(self, device: socket.socket) -> None:
        up, down = both_ways(self._profile, self._seed)
        with contextlib.suppress(OSError), socket.socket(self._family) as target:
            for end in (device, target):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.sleep(self._profile.round_trip)  # TCP's greeting
            await self._loop.sock_connect(target, self._target)
            # Where one direction breaks, the other one has ended too.
            await _all_of(self._pass_on(device, target, up, (1, 0)), self._pass_on(target, device, down, (0, 1)))

    async def _pass_on(self, source: socket.socket, sink: socket.socket, way: OneWay, counts: tuple[int, int]) -> None:
        """Until the source ends; then the sink is told so, in its turn. `counts` is 1 for this direction."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY)

        async def take_in() -> None:
            data = b"something"
            while data:
                data = await self._loop.sock_recv(source, _CHUNK)
                self.carried = (self.carried[0] + counts[0] * len(data), self.carried[1] + counts[1] * len(data))
                late = _PROBE + 2 * self._profile.round_trip if way.loses() else 0.0
                await under_way.put((way.arrival(self._loop.time(), len(data), late), data))

        async def let_out() -> None:
            while True:
                due, data = await under_way.get()
                await asyncio.sleep(due - self._loop.time())
                if not data:
                    return sink.shutdown(socket.SHUT_WR)
                await self._loop.sock_sendall(sink, data)

        await _all_of(take_in(), let_out())


def _close(device: socket.socket, _: object) -> None:
    """Of a task that is ended before it begins, nobody else does."""
    device.close()


async def _all_of(*works: Coroutine[None, None, None]) -> None:
    """Do these at once; where one fails, the others are cancelled, and its error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
