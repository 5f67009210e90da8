"""A load test: texts are recorded, edges set to work, and stopped at the bound or when somebody loses patience."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from time import perf_counter, process_time
from typing import Any

import grpc

from cloud_target.bench.edges import Edge
from cloud_target.bench.plan import Plan
from cloud_target.bench.stream import Stream
from cloud_target.bench.tally import Tally
from cloud_target.bench.texts import Opening, Text, openings
from cloud_target.options.dial import Line
from shared.errors import LinkBroken, TargetRefused, TargetUnavailable
from shared.wire import codec
from shared.wire.metadata import about_session
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub

# Edges share that many connections at most; each of the first ones has one of its own, as in life.
CONNECTIONS = 128
# Texts that are recorded at the same time.
RECORDERS = 16
# How long a target may take to say who it is, and to answer in the recording, seconds.
CONNECT = 10.0


@dataclass
class Result:
    """What a load test found.

    Attributes:
        who: the target.
        tally: everything that was counted.
        seconds: how long the edges were at work.
        cpu: this process's own CPU time meanwhile, seconds.
        refused: what the target said to edges that it will never serve; None if it served all.
        interrupted: somebody stopped the test before its bound.
    """

    who: wire.DescribeResponse
    tally: Tally
    seconds: float = 0.0
    cpu: float = 0.0
    refused: str | None = None
    interrupted: bool = False


class Load:
    """One load test; use inside one event loop.

    Args:
        tell: gets a short line now and then.
        before: called once texts are recorded, just before the edges start.
    """

    def __init__(self, plan: Plan, line: Line, tell: Callable[[str], None], before: Callable[[], None]) -> None:
        self._plan, self._line, self._tell, self._before = plan, line, tell, before
        self._stop = asyncio.Event()
        self._interrupted = False

    def interrupt(self) -> None:
        """Stop now, and keep what there is."""
        self._interrupted = True
        self._stop.set()

    async def run(self) -> Result:
        """The whole test.

        Raises:
            TargetUnavailable, TargetRefused: before the edges start.
            InputError: the texts do not fit in the target's context.
        """
        plan, line = self._plan, self._line
        channels = [line.aio_channel() for _ in range(min(plan.sessions, CONNECTIONS))]
        stubs = [TargetServiceStub(channel) for channel in channels]
        try:
            who = await self._describe(stubs[0])
            result = Result(who, Tally(plan.calls, self._stop.set))
            texts = await self._unless_stopped(self._record(stubs, openings(plan, who.vocabulary, who.context)))
            if texts is not None:
                self._before()
                edges = [Edge(i, plan, texts, line, result.tally, who.vocabulary) for i in range(plan.sessions)]
                await self._work(result, edges, stubs)
            result.interrupted = self._interrupted
            return result
        finally:
            await asyncio.gather(*(channel.close() for channel in channels))

    async def _unless_stopped(self, work: Coroutine[None, None, list[Text]]) -> list[Text] | None:
        """What the work gives, or None as soon as the test is to stop."""
        task, stopper = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait([task, stopper], return_when=asyncio.FIRST_COMPLETED)
        stopper.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None

    async def _describe(self, stub: TargetServiceStub) -> wire.DescribeResponse:
        try:
            who = await stub.Describe(
                wire.DescribeRequest(), metadata=self._line.metadata, timeout=CONNECT, wait_for_ready=True
            )
        except grpc.aio.AioRpcError as error:
            details = " ".join((error.details() or error.code().name).split())
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise TargetUnavailable(
                    f"no target answers at {self._line.address} ({details[:200]}); start one with "
                    "`cloud-target serve`, or check --address, --ca and --tls"
                ) from None
            raise TargetRefused(f"the target refused to describe itself: {details}") from None
        codec.check_revision(who)
        return who

    async def _record(self, stubs: list[TargetServiceStub], wanted: list[Opening]) -> list[Text]:
        """The target's own continuation of each opening."""
        self._tell(f"recording {len(wanted)} texts of {self._plan.text_tokens} tokens that the target writes by itself")
        room = asyncio.Semaphore(RECORDERS)

        async def record(number: int) -> Text:
            async with room:
                return await self._continuation(stubs[number % len(stubs)], wanted[number])

        try:
            return list(await asyncio.gather(*map(record, range(len(wanted)))))
        except TargetRefused as error:
            raise TargetRefused(f"the target refused to write: {error}") from None

    async def _continuation(self, stub: TargetServiceStub, opening: Opening) -> Text:
        chance = Random(f"{self._plan.seed} {opening.sampling.seed} recording")
        session = opening.session(chance.randbytes(codec.SESSION_ID_BYTES))
        trouble = Tally(None, lambda: None)
        stream = Stream(stub, session, self._line.metadata, trouble, chance)
        length = len(opening.prompt)
        for _ in range(20):
            try:
                await stream.send(
                    tokens=opening.prompt, audit_from=length, judge_from=length, write_on=self._plan.text_tokens - 1
                )
                answer = await stream.receive()
                ids, is_done = [answer.verdict.token], self._plan.text_tokens == 1
                while not is_done:
                    part = (await stream.receive()).continuation
                    ids += part.tokens
                    is_done = part.done
                await stream.close()
                about = about_session(session.session_id, self._line.metadata)
                await stub.Release(wire.ReleaseRequest(session_id=session.session_id), metadata=about)
                return Text(opening, ids)
            except (LinkBroken, grpc.RpcError):
                continue
        raise TargetUnavailable(
            f"the target at {self._line.address} could not write a text ({', '.join(trouble.errors)}); try "
            "`cloud-target doctor` on it"
        )

    async def _work(self, result: Result, edges: list[Edge], stubs: list[TargetServiceStub]) -> None:
        tasks = [asyncio.create_task(edge.work(stubs[i % len(stubs)])) for i, edge in enumerate(edges)]
        stopper, watcher = asyncio.create_task(self._stop.wait()), asyncio.create_task(self._watch(result))
        begun, cpu = perf_counter(), process_time()
        try:
            everybody: asyncio.Future[Any] = asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.wait(
                [stopper, everybody],
                timeout=self._plan.seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            result.seconds, result.cpu = perf_counter() - begun, process_time() - cpu
        finally:
            for task in (*tasks, stopper, watcher):
                task.cancel()
            ends = await asyncio.gather(*tasks, stopper, watcher, return_exceptions=True)
        result.refused = next((end for end in ends if isinstance(end, str)), None)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _watch(self, result: Result) -> None:
        begun, before = perf_counter(), 0
        while True:
            await asyncio.sleep(2.0)
            calls = result.tally.calls
            self._tell(f"{perf_counter() - begun:.0f} s: {calls} calls, {(calls - before) / 2:.0f} calls/s now")
            before = calls
