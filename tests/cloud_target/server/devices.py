"""The whole service without a port, and devices that ask it in fake time: slow ones, ones that leave, whole crowds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import grpc

from cloud_target.access.tokens import Grant
from cloud_target.engine.interface import Engine
from cloud_target.scheduling.scheduler import Scheduler
from cloud_target.server.servicer import TargetServicer
from cloud_target.telemetry.observer import NOBODY, Observer
from shared.config import Sampling
from shared.wire import metadata
from shared.wire.v1 import target_pb2 as wire
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.fake_time import AtOnce

# Seconds between a refusal and the next try, beyond what the target says; at most what edges take.
PAUSE = 1.0


class Named:
    """Takes a tenant's name for its token."""

    def authenticate(self, token: str | None) -> Grant:
        return Grant("", token or "", ())

    def check(self, grant: Grant) -> Grant:
        return grant

    def state(self) -> object:
        return None


class _InlineScheduler(Scheduler):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._thread.shutdown()
        self._thread = AtOnce()  # type: ignore[assignment]


class Ended(Exception):
    """A call ended with an error."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: Iterable[tuple[str, str]]) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code, self.reason = code, dict(trailing).get(metadata.REASON)
        self.pushback = int(dict(trailing).get(metadata.PUSHBACK, "0")) / 1e3


class Context:
    """One call as the service sees it, whose client reads an answer in `reading` seconds.

    Attributes:
        heard: the answers.
        began: when the first of them had been read, seconds.
    """

    def __init__(self, tenant: str, reading: float) -> None:
        self.heard: list[wire.DecodeResponse] = []
        self.began: float | None = None
        self._tenant, self._reading = tenant, reading

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ((metadata.AUTHORIZATION, f"Bearer {self._tenant}"),)

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def time_remaining(self) -> None:
        return None

    async def send_initial_metadata(self, metadata: tuple[()]) -> None:
        pass

    async def write(self, answer: wire.DecodeResponse) -> None:
        if self._reading:
            await asyncio.sleep(self._reading)
        self.heard.append(answer)
        if self.began is None:
            self.began = asyncio.get_running_loop().time()

    async def abort(self, code: grpc.StatusCode, details: str, trailing: Iterable[tuple[str, str]]) -> None:
        raise Ended(code, details, trailing)


class Service:
    """A service in this event loop, for tenants that say their names.

    Args:
        session_idle: seconds after which an idle session is forgotten.

    Attributes:
        leases: who works on what.
        capacity: tokens that its cache holds.
    """

    def __init__(self, engine: Engine, observer: Observer = NOBODY, session_idle: float = math.inf) -> None:
        self.scheduler = _InlineScheduler(engine)
        self._servicer = TargetServicer(
            engine,
            self.scheduler,
            Named(),  # type: ignore[arg-type]
            observer=observer,
            session_idle=session_idle,
        )
        self._sweeping = asyncio.create_task(self._servicer.idle.keep_sweeping())
        self.leases, self.capacity = self._servicer._leases, engine.capacity
        self.decode = self._servicer.handlers()["Decode"].stream_stream

    def sessions(self) -> int:
        """How many it has something of in its cache."""
        return len(self._servicer._table)

    async def close(self) -> None:
        """End it, which also looks whether all fits together."""
        self._sweeping.cancel()
        await self._servicer.close()
        self.scheduler.check_integrity()


@dataclass
class Device:
    """Has one text written, and comes again when it is told to.

    Attributes:
        session: number of its session.
        prompt: its text until then.
        length: of the whole text.
        reading: seconds that it takes to read an answer.
        step: most tokens that it asks for at once.
        thrifty: it sends only what the target should lack; others send the whole text each time.
        leaves: seconds after which it leaves each of its first calls; the others go on to their ends.
        pause: seconds until it comes again after a call that was not answered to its end, beyond what it is told.
        text: what has come.
        refusals: reasons of calls that ended with an error.
        known: tokens of the text that the target has, as far as the device knows.
        came, began, ended: when it asked first, heard the first answer, and had all of the text, seconds.
    """

    session: int
    prompt: list[int]
    length: int
    tenant: str = ""
    reading: float = 0.0
    step: int = 10_000
    thrifty: bool = False
    leaves: tuple[float, ...] = ()
    pause: float = PAUSE
    text: list[int] = field(default_factory=list)
    refusals: list[str | None] = field(default_factory=list)
    came: float = 0.0
    began: float | None = None
    ended: float | None = None
    known: int = 0

    @property
    def sampling(self) -> Sampling:
        return Sampling(0.8, seed=self.session)

    async def write(self, service: Service) -> None:
        """Ask until the text is whole."""
        loop = asyncio.get_running_loop()
        self.text, self.came = list(self.prompt), loop.time()
        leaves = iter(self.leaves)
        while len(self.text) < self.length:
            context, pause = Context(self.tenant, self.reading), 0.0
            try:
                async with asyncio.timeout(next(leaves, None)):
                    await service.decode(self._requests(), context)
            except Ended as error:
                self.refusals.append(error.reason)
                pause = error.pushback + self.pause
            except TimeoutError:
                pause = self.pause
            finally:
                self._hear(context)
            await asyncio.sleep(pause)
        self.ended = loop.time()

    async def _requests(self) -> AsyncIterator[wire.DecodeRequest]:
        """The text, or what is new of it, and its last token at least."""
        left = min(self.length - len(self.text), self.step)
        name = self.session.to_bytes(16, "big")
        position = min(self.known, len(self.text) - 1) if self.thrifty else 0
        yield request(self.text, position, self.sampling, judge_from=len(self.text), write_on=left - 1, session_id=name)

    def _hear(self, context: Context) -> None:
        for answer in context.heard:
            if answer.HasField("verdict"):
                self.text.append(answer.verdict.token)
            elif answer.HasField("continuation"):
                self.text.extend(answer.continuation.tokens)
            if answer.HasField("resync") or answer.HasField("stale"):
                self.known = answer.resync.held
            else:
                self.known = len(self.text)
        self.began = context.began if self.began is None else self.began
