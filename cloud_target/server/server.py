"""The server: binding, health, reflection, and a clean end."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from cloud_target.access.admission import ANYBODY
from cloud_target.access.protection import Access, check_address
from cloud_target.access.tls import server_credentials
from cloud_target.bundles.offered import OfferedBundle
from cloud_target.bundles.settings import FETCHES
from cloud_target.engine.interface import Engine
from cloud_target.scheduling.choice import scheduler_for
from cloud_target.server.accepting import NAMELESS, Door, accepts, open_server
from cloud_target.server.connections import (
    CONNECTIONS_OPTION,
    ConnectionSettings,
    channel_options,
    largest_message,
    said_in_vain,
)
from cloud_target.server.cutting import Cutter
from cloud_target.server.doorkeeper import Doorkeeper, SpeechLimits
from cloud_target.server.giving_way import GivingWay
from cloud_target.server.health import LIVENESS, Health
from cloud_target.server.health import SERVICE as HEALTH
from cloud_target.server.links import Link, Links
from cloud_target.server.rations import Rations
from cloud_target.server.reflecting import SERVICE as REFLECTION
from cloud_target.server.reflecting import Reflection
from cloud_target.server.refusing import Refusing
from cloud_target.server.servicer import SERVICE, TargetServicer
from cloud_target.server.silencing import Silencer
from cloud_target.server.strangers import StrangerLimits, Strangers
from cloud_target.server.timeouts import Timeouts
from cloud_target.telemetry.calls import about_call
from cloud_target.telemetry.observer import NOBODY, Observer
from cloud_target.telemetry.traces import NO_TRACES, Traces

# Seconds for the last messages to leave, after the calls under way; for the calls that are ended then; and for what
# still runs on the device. In all clearly less than supervisors wait beyond `drain_seconds`.
_GOODBYE = 0.5
_CALLS = 0.25
_DEVICE = 0.5
# Seconds between two looks at whether calls are accepted.
_LOOK = 1.0
# What is said to those who call while it is out of service.
_RETIRED = "the target takes no calls at the moment; connect again, to another one if there is one"
# The reason of which a connection is closed whose calls are all in vain.
FLOOD = "FLOOD"
# And of which one is that gave way as few places were left.
CROWD = "CROWD"
# So long after its drain a server has ended, or never will.
SURELY_ENDED = _GOODBYE + _CALLS + _DEVICE + 0.5

log = logging.getLogger(__name__)
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # else two servers share a port, and each gets some of the calls
    # Edges ping while a text is written, to tell a slow target from a dead link, and so that middleboxes remember them;
    # the server pings to learn of those that vanished. No number of pings ends a connection: the library counts those
    # that come too soon, and takes the longer for each the more of them it has counted before it comes to close, so
    # that 3 MB of pings keep a processor busy for half a minute. An answer to each costs next to nothing.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]


class TargetServer:
    """Serves an engine on one address. Use inside one event loop.

    Args:
        engine: what is served.
        host: address to listen on, without brackets.
        port: 0 picks a free one.
        access: what protects it.
        observer: hears of what happens.
        prefix_caching: see `SessionTable`.
        timeouts: how long it waits for what.
        bundle: what it offers to edges; whoever opened it closes it.
        fetches: calls that send it at once.
        connections: what a connection may cost.
        session_idle: seconds after which the cache of an idle session is forgotten.
        traces: are told where the time of streams goes.

    Attributes:
        address: "host:port" once started.
        observer: the same.
        dead: set when nobody is answered any more: the engine fails at every pass, or no call is accepted.

    Raises:
        InputError: see `check_address`, `TlsFiles.read` and `make_room`.
    """

    def __init__(
        self,
        engine: Engine,
        host: str = "127.0.0.1",
        port: int = 50051,
        access: Access | None = None,
        observer: Observer = NOBODY,
        prefix_caching: bool = True,
        timeouts: Timeouts | None = None,
        bundle: OfferedBundle | None = None,
        fetches: int = FETCHES,
        connections: ConnectionSettings | None = None,
        session_idle: float = math.inf,
        traces: Traces = NO_TRACES,
    ) -> None:
        self._access = access = access or Access()
        check_address(host, port, access)
        self._credentials = server_credentials(access.tls) if access.tls else None
        self._host = f"[{host}]" if ":" in host else host
        self._port = port
        self.observer = observer
        self._scheduler = scheduler = scheduler_for(engine, observer)
        self.dead = scheduler.dead
        self._servicer = TargetServicer(
            engine,
            scheduler,
            access.tokens,
            access.quota,
            observer,
            prefix_caching,
            timeouts,
            bundle,
            fetches,
            session_idle,
            traces,
        )
        self._sweeping: list[asyncio.Task[None]] = []
        self._refused = lambda reason: observer.refused(ANYBODY, reason)
        self._health = Health(("", SERVICE), (LIVENESS,), self._refused)
        settings = connections or ConnectionSettings()
        options = channel_options(settings, engine)
        self._connections = dict(options)[CONNECTIONS_OPTION]
        refusing = Refusing(largest_message(settings, engine), self._refused)
        self._links = Links()
        self._silencer = Silencer(settings.silence)
        cutter = Cutter(self._links, self._silencer)
        self._strangers = strangers = Strangers(partial(self._send_away, cutter), spare=cutter.spare)
        self._giving_way = GivingWay(self._connections, partial(self._sent_away, why=CROWD))
        once = {f"/{HEALTH}/Check": refusing.bounded(self._health.handlers()["Check"])}
        door = Door(self._knows, self._is_in_vain, strangers, once, Rations())
        speech = SpeechLimits(said_in_vain(StrangerLimits.in_vain, engine))
        self._doorkeeper = Doorkeeper(self._links, speech, self._silencer, self._see, self._sent_away)
        self._server = open_server((refusing,), (*_OPTIONS, *options), door)
        self.address = ""

    async def start(self) -> None:
        """Listen, and report SERVING."""
        self._server.add_registered_method_handlers(SERVICE, self._servicer.handlers())
        self._server.add_registered_method_handlers(HEALTH, self._health.handlers())
        if self._access.tokens is None:  # it asks nobody who they are
            told = Reflection((SERVICE, HEALTH, REFLECTION), self._refused)
            self._server.add_registered_method_handlers(REFLECTION, told.handlers())
        address = f"{self._host}:{self._port}"
        if self._credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, self._credentials)
        await self._server.start()
        self.address, self._links.port = f"{self._host}:{port}", port
        self.observer.listens(port, self._connections)
        looks = self._keep_looking(), self._doorkeeper.keep_looking()
        sweeps = self._servicer.idle.keep_sweeping(), self._servicer.withdrawals.keep_sweeping(), *looks
        self._sweeping = [asyncio.create_task(sweep) for sweep in sweeps]

    def _knows(self, name: str, metadata: Sequence[tuple[str, str | bytes]]) -> bool:
        """Without a file of tokens whoever asks for a text, as only an edge does."""
        return self._servicer.knows(metadata) and (self._access.tokens is not None or name.startswith(f"/{SERVICE}/"))

    def _is_in_vain(self, name: str) -> bool:
        return name == NAMELESS or name.startswith(f"/{SERVICE}/")

    def _send_away(self, cutter: Cutter, peer: str) -> None:
        self._sent_away(peer)
        cutter.cut(peer)

    def _sent_away(self, peer: str, why: str = FLOOD) -> None:
        with about_call(peer):
            self.observer.refused(ANYBODY, why)

    def _see(self, links: list[Link]) -> set[int]:
        """All connections that there are; the numbers of those that are known."""
        known = self._strangers.see(links)
        self._giving_way.see(links, known)
        return known

    async def _keep_looking(self) -> None:
        """Give up where the library has stopped accepting calls: nobody else would notice."""
        while accepts(self._server):
            await asyncio.sleep(_LOOK)
        log.critical("the gRPC library has stopped accepting calls")
        self._health.serves = False
        self.dead.set()

    def retire(self) -> None:
        """Report NOT_SERVING, refuse new calls, let those under way reach their verdicts, and stay: for a node that is
        to be empty for a while. What is in the cache is kept."""
        self._health.serves = False
        self._servicer.retire(_RETIRED)

    def go_on(self) -> None:
        """Take calls again, and report SERVING, after `retire`."""
        self._servicer.go_on()
        self._health.serves = True

    @property
    def under_way(self) -> object | None:
        """The pass that runs now, None between passes. May be asked for in any thread."""
        return self._scheduler.under_way

    async def stop(self, drain_seconds: float) -> bool:
        """Report NOT_SERVING, refuse new calls, let those under way reach their verdicts, and end.

        No step waits for any peer, or for the device, for longer than it says.

        Returns:
            Whether all has ended. What has not never will, as a pass that hangs, or it takes longer than anybody waits.
        """
        self._health.serves = False
        await self._servicer.drain(drain_seconds)
        for sweep in self._sweeping:
            sweep.cancel()
        self._silencer.close()
        try:
            await asyncio.wait_for(self._server.stop(_GOODBYE), _GOODBYE + _CALLS)
            await asyncio.wait_for(self._servicer.close(), _DEVICE)
        except TimeoutError:
            return False
        return True


@contextmanager
def running(
    engine: Engine,
    port: int = 0,
    access: Access | None = None,
    observer: Observer = NOBODY,
    timeouts: Timeouts | None = None,
    bundle: OfferedBundle | None = None,
    fetches: int = FETCHES,
    connections: ConnectionSettings | None = None,
    traces: Traces = NO_TRACES,
) -> Iterator[str]:
    """Serve an engine on loopback in a thread of this process, for as long as the block lasts; yields "host:port"."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    started: list[str | BaseException] = []
    is_started = threading.Event()

    async def main() -> None:
        try:
            server = TargetServer(
                engine,
                port=port,
                access=access,
                observer=observer,
                timeouts=timeouts,
                bundle=bundle,
                fetches=fetches,
                connections=connections,
                traces=traces,
            )
            await server.start()
            started.append(server.address)
        except BaseException as error:
            started.append(error)
            return
        finally:
            is_started.set()
        await stop.wait()
        await server.stop(drain_seconds=0.5)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), name="target-server", daemon=True)
    thread.start()
    is_started.wait()
    try:
        if isinstance(started[0], BaseException):
            raise started[0]
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
