"""The gRPC face of the service: it lets callers in, reads their requests, and runs the feeds of the answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from time import monotonic
from typing import Any

import grpc

from cloud_target.access.admission import ANYBODY, Admission, Caller
from cloud_target.access.quotas import Quota
from cloud_target.access.tokens import TokenFile
from cloud_target.bundles.offered import OfferedBundle
from cloud_target.bundles.settings import FETCHES
from cloud_target.engine.interface import Engine, Feed, Masks, Scores
from cloud_target.protocol.answer import Pause, Step, answer
from cloud_target.protocol.constraint import grammars_of
from cloud_target.protocol.describe import describe
from cloud_target.protocol.forthcoming import MOST_AHEAD
from cloud_target.protocol.meant import targets_of
from cloud_target.protocol.prospects import Prospects
from cloud_target.protocol.reader import RequestReader
from cloud_target.protocol.reading import reading
from cloud_target.protocol.requests import Limits, Request, parse_session_id
from cloud_target.scheduling.interface import STOPPING, FeedScheduler
from cloud_target.server.endings import ending
from cloud_target.server.fetches import Fetches
from cloud_target.server.first_message import first_message
from cloud_target.server.idle import IdleSessions
from cloud_target.server.leases import Lease, Leases
from cloud_target.server.long_feeds import read
from cloud_target.server.masking import Masking
from cloud_target.server.request_stream import RequestStream
from cloud_target.server.tally import Tally
from cloud_target.server.telling import Answers
from cloud_target.server.timeouts import Timeouts
from cloud_target.server.turnstile import RevolvingDoor
from cloud_target.server.withdrawals import Withdrawals
from cloud_target.sessions.session import session_key
from cloud_target.sessions.table import SessionTable
from cloud_target.telemetry.observer import NOBODY, Observer
from cloud_target.telemetry.traces import NO_TRACES, Traces
from shared.errors import TargetUnavailable
from shared.wire.v1 import target_pb2 as wire

# Calls with one answer at once, in all and of one connection: there is an answer in memory of each until it is read.
_SHORT = 256, 16
SERVICE = wire.DESCRIPTOR.services_by_name["TargetService"].full_name
Requests = AsyncIterable[Any]


class TargetServicer:
    """Answers `tandem.v1.TargetService` with an engine.

    Args:
        engine: whose sessions it keeps.
        scheduler: runs the feeds on it.
        tokens: who may call; None lets everybody.
        quota: what a tenant may have of which the tokens do not say otherwise.
        observer: hears of what happens.
        prefix_caching: see `SessionTable`.
        timeouts: how long it waits for what.
        bundle: what it offers to edges; None offers nothing.
        fetches: calls that send it at once.
        session_idle: seconds after which the cache of an idle session is forgotten.
        traces: are told where the time of streams goes.
    """

    def __init__(
        self,
        engine: Engine,
        scheduler: FeedScheduler,
        tokens: TokenFile | None = None,
        quota: Quota | None = None,
        observer: Observer = NOBODY,
        prefix_caching: bool = True,
        timeouts: Timeouts | None = None,
        bundle: OfferedBundle | None = None,
        fetches: int = FETCHES,
        session_idle: float = math.inf,
        traces: Traces = NO_TRACES,
    ) -> None:
        self._engine, self._scheduler = engine, scheduler
        self._observer, self._traces = observer, traces
        self._timeouts = timeouts or Timeouts()
        self._table = SessionTable(engine, scheduler.do, observer, prefix_caching)
        self._leases = Leases(self._table, self._timeouts)
        self.idle = IdleSessions(session_idle, lambda key: self._table.get(key) is not None, self._table.release)
        self._admission = admission = Admission(tokens, quota or Quota(), self._leases.release)
        self.knows = admission.knows
        self._grammars, self._targets = grammars_of(engine), targets_of(engine)
        self._masking = Masking()
        self._fetches = Fetches(bundle, fetches, self._timeouts, observer)
        self.withdrawals = Withdrawals(self._admission, self._timeouts.token_check)
        self._short = RevolvingDoor(*_SHORT)
        self._streams: set[RequestStream] = set()
        self._refusal: str | None = None

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """What a server needs to know of it, by name: all calls are streams here, as `first_message` explains, and so
        are their answers, which are to be read in time; on the wire it is the same."""
        many = grpc.stream_stream_rpc_method_handler
        return {
            "Describe": many(self._describe, wire.DescribeRequest.FromString, wire.DescribeResponse.SerializeToString),
            "Decode": many(self._decode, wire.DecodeRequest.FromString, wire.DecodeResponse.SerializeToString),
            "Release": many(self._release, wire.ReleaseRequest.FromString, wire.ReleaseResponse.SerializeToString),
            "FetchBundle": many(
                self._fetch_bundle, wire.FetchBundleRequest.FromString, wire.FetchBundleResponse.SerializeToString
            ),
        }

    async def _describe(self, _: Requests, context: grpc.aio.ServicerContext) -> None:
        async with self._short_call(context) as caller:
            await first_message(context, wire.DescribeRequest, self._timeouts.request)
            answer = describe(self._engine, self._limits(caller), self._fetches.offered)
            await Answers(context).tell(answer, self._timeouts.unread)

    async def _release(self, _: Requests, context: grpc.aio.ServicerContext) -> None:
        async with self._short_call(context) as caller:
            request = await first_message(context, wire.ReleaseRequest, self._timeouts.request)
            session_id = parse_session_id(request.session_id)
            self._leases.release(session_key(caller.tenant, session_id))
            caller.usage.released(session_id)
            await Answers(context).tell(wire.ReleaseResponse(), self._timeouts.unread)

    async def _fetch_bundle(self, _: Requests, context: grpc.aio.ServicerContext) -> None:
        async with self._call(context) as caller, self.withdrawals.watch(caller):
            request = await first_message(context, wire.FetchBundleRequest, self._timeouts.request)
            await self._fetches.send(request, caller, context)

    async def _decode(self, requests: Requests, context: grpc.aio.ServicerContext) -> None:
        counted = has_verdict = False
        async with self._call(context) as caller:
            reader = RequestReader(caller.tenant, self._engine.branches, self._grammars, self._targets)
            stream = RequestStream(lambda message: reader.read(message, self._limits(caller)))
            answers = Answers(context)
            prospects = Prospects(reader.guesses, reader.patience, stream.waiting)
            async with self._open(stream, requests, caller, context), AsyncExitStack() as session:
                while (arrival := await stream.next()) is not None:
                    request = arrival.request
                    if not counted:
                        session.enter_context(caller.usage.session(request.terms.session_id))
                        counted = True
                    self._admission.check(caller)
                    tally = Tally(request, caller.usage, self._observer, arrival.time, not has_verdict)
                    with self._traces.question(arrival.time), tally:
                        await self._answer(request, prospects, stream, tally, caller, answers)
                        self._traces.answered(tally.kind, tally.written)
                    has_verdict = has_verdict or tally.has_verdict

    async def _answer(
        self,
        request: Request,
        prospects: Prospects,
        stream: RequestStream,
        tally: Tally,
        caller: Caller,
        answers: Answers,
    ) -> None:
        """Drive the protocol: the verdict is always reached, what follows it only while nothing newer is wanted."""
        left = answers.time_remaining()
        deadline = None if left is None else monotonic() + left
        limits, patience = self._limits(caller), prospects.patience
        more = MOST_AHEAD if prospects.waiting() else 0

        def submit(feed: Feed) -> asyncio.Future[Scores]:
            if feed.masks is not None:
                return asyncio.ensure_future(mask_and_submit(feed, feed.masks))
            return self._scheduler.submit(feed, request.terms.tenant, deadline, lambda: tally.begun(feed))

        async def mask_and_submit(feed: Feed, masks: Masks) -> Scores:
            # A grammar may be a stranger's, and slow: neither the event loop nor a pass waits for it.
            await self._masking.submit(request.terms.tenant, masks.prepare)
            return await self._scheduler.submit(feed, request.terms.tenant, deadline, lambda: tally.begun(feed))

        def progress() -> Awaitable[None]:
            return answers.write(reading(lease.session, request))

        async with self._room(request, limits.context, more) as lease:
            with closing(answer(lease.session, request, limits, prospects)) as steps:
                step: Step | None = next(steps)
                while isinstance(step, Feed):
                    if step.needed > self._engine.chunk:
                        found = await read(submit(step), lease, request.terms.reading, progress)
                    else:
                        found = await submit(step)
                    self._traces.passed(found)
                    step = steps.send(found)
                while isinstance(step, wire.DecodeResponse):
                    tally.count(step)
                    scores = None
                    feed = next(steps, None)
                    if isinstance(feed, Feed) and not (stream.pending or lease.unwanted):
                        # The device need not wait until the answer is on its way. What forbids to go on is told after.
                        with suppress(TargetUnavailable):
                            tally.check()
                            scores = submit(feed)
                    try:
                        await lease.write(answers.write(step))
                        if isinstance(feed, Pause):
                            await stream.until(lambda: patience.answered, feed.seconds)
                            feed = next(steps)
                        if isinstance(feed, Feed):
                            if scores is None:
                                if stream.pending or lease.unwanted:
                                    lease.check()
                                    return
                                tally.check()
                                scores = submit(feed)
                            found = await scores
                            self._traces.passed(found)
                            tally.judged(found.guesses)
                            feed = steps.send(found)
                    finally:
                        if scores is not None:
                            scores.cancel()  # or, if it has failed, keeps asyncio from logging what nobody waits for
                    step = feed

    @asynccontextmanager
    async def _room(self, request: Request, context: int, more: int) -> AsyncIterator[Lease]:
        """See `Leases.take`; who watches hears how long that took, and what of a whole text need not be read again."""
        since = monotonic()
        self._observer.room_wanted()
        async with AsyncExitStack() as taken:
            taken.enter_context(self.idle.use(request.terms.key))  # while it waits, too
            try:
                with self._traces.room():
                    lease = await taken.enter_async_context(self._leases.take(request, context, more))
            finally:
                self._observer.room_waited(monotonic() - since)
            if request.position == 0:
                kept = lease.session.holds(request.tokens)
                self._observer.began(kept, len(request.tokens) - kept)
            yield lease

    @asynccontextmanager
    async def _call(self, context: grpc.aio.ServicerContext) -> AsyncIterator[Caller]:
        """One call: by whom, within the tenant's limits, and with every error told as the contract says."""
        caller = None

        def refused(reason: str) -> None:
            self._observer.refused(caller.tenant if caller else ANYBODY, reason)

        async with ending(context, refused):
            if self._refusal is not None:
                raise TargetUnavailable(self._refusal)
            caller = self._admission.admit(context.invocation_metadata() or ())
            with caller.usage.call():
                yield caller

    @asynccontextmanager
    async def _short_call(self, context: grpc.aio.ServicerContext) -> AsyncIterator[Caller]:
        """One call with one answer: no connection has many, and when there are too many the oldest gives way."""
        async with self._call(context) as caller, self.withdrawals.watch(caller), self._short.place(context.peer()):
            yield caller

    @asynccontextmanager
    async def _open(
        self, stream: RequestStream, requests: Requests, caller: Caller, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[None]:
        """A stream, for as long as the block lasts."""
        self._streams.add(stream)
        self._observer.streams(caller.tenant, 1)
        try:
            with self._traces.stream(context.invocation_metadata() or (), caller.tenant):
                async with self.withdrawals.watch(caller), stream.reading(requests):
                    yield
        finally:
            self._streams.discard(stream)
            self._observer.streams(caller.tenant, -1)

    def _limits(self, caller: Caller) -> Limits:
        return Limits.of(self._engine, caller.usage.quota.context)

    async def drain(self, seconds: float) -> None:
        """Refuse new calls for good, wait for the verdicts of those under way, as `retire` has it, and end what is left
        then or after so long."""
        self.retire(STOPPING)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._streams:
                    await asyncio.sleep(0.01)
        self.withdrawals.end_all(STOPPING)

    def retire(self, why: str) -> None:
        """Refuse new calls, and let those under way end with the verdicts of what they have asked; their edges are told
        to connect again.

        Args:
            why: a sentence for those who call.
        """
        self._refusal = why
        self._fetches.stop()
        for stream in self._streams:
            stream.close(why)

    def go_on(self) -> None:
        """Take calls again, after `retire`."""
        self._refusal = None
        self._fetches.go_on()

    async def close(self) -> None:
        """End the threads that follow grammars, and the engine's after what runs there now, however long that takes."""
        self._masking.close()
        await self._scheduler.close()
        self._table.check_integrity()
