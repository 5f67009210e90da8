"""A simulated device: one text after the other over real streams, and every answer looked at."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import Any

import grpc

from benchmarks.fleet.engine import CONTEXT, VOCABULARY, own_token
from benchmarks.fleet.traces import Call, Trace
from shared import prefix_hash
from shared.config import Coupling, Sampling
from shared.wire import codec
from shared.wire.metadata import about_session
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub

# Tokens that a call may add to a text, at most.
_MARGIN = 100
# How long a device waits for an answer, seconds, and how long after trouble before it tries again, at most.
PATIENCE, PAUSE = 120.0, 1.0


@dataclass
class Tally:
    """What devices have seen.

    Attributes:
        calls: that were answered.
        tokens: settled by them.
        wrong: of the calls, those whose answer was not the one that the text must have.
        resyncs: requests to a replica that lacked their text.
        texts: written to their ends.
        served: devices that were answered.
        latencies: of the calls, seconds.
        errors: by status and what was said.
    """

    calls: int = 0
    tokens: int = 0
    wrong: int = 0
    resyncs: int = 0
    texts: int = 0
    served: set[int] = field(default_factory=set)
    latencies: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            *(mine | theirs if isinstance(mine, set) else mine + theirs for mine, theirs in _pairs(self, other))
        )


def _pairs(one: Tally, other: Tally) -> list[tuple[Any, Any]]:
    return list(zip(vars(one).values(), vars(other).values(), strict=True))


class Text:
    """Token ids and the hashes of their prefixes: ``hashes[i]`` is that of ``ids[:i]``."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self.ids, self.hashes = array("I"), array("Q", [0])
        for token in prompt:
            self.append(token)

    def append(self, token: int) -> None:
        """Let it go on."""
        self.ids.append(token)
        self.hashes.append(prefix_hash.extend(self.hashes[-1], (token,)))

    def ahead(self, count: int) -> list[int]:
        """The next `count` tokens as the target would write them."""
        found, hash_ = [], self.hashes[-1]
        for _ in range(count):
            found.append(own_token(hash_))
            hash_ = prefix_hash.extend(hash_, found[-1:])
        return found


class Writer:
    """One device.

    Args:
        number: of it; decides what it writes.
        stub: of its connection, which it shares with others.
        traces: recorded texts, of which it draws what it asks.

    Attributes:
        tally: where it counts; may be another one from call to call.
    """

    def __init__(self, number: int, stub: TargetServiceStub, traces: Sequence[Trace], tally: Tally) -> None:
        self.number, self.tally = number, tally
        self._stub, self._traces = stub, traces
        self._chance = Random(f"fleet {number}")
        self._stream: Any = None  # a grpc.aio.StreamStreamCall, of whose messages its types know nothing
        self._sent = 0
        self._next_text()

    def _next_text(self) -> None:
        self._trace = self._chance.choice(self._traces)
        self._session_id = self._chance.randbytes(codec.SESSION_ID_BYTES)
        self._text = Text([self._chance.randrange(VOCABULARY) for _ in range(self._trace.prompt)])
        self._known = 0  # so much of the text the target has
        self._audited = len(self._text.ids)  # and this much it has audited, or written itself
        self._at = 0

    @property
    def ahead(self) -> int:
        """Tokens that its user reads before it asks again."""
        return max(self._trace.calls[self._at].shown, 1)

    async def call(self) -> None:
        """One question, until it is answered. Where that ends the text, the next call begins another one."""
        question, text = self._trace.calls[self._at], self._text
        # What is drafted is the target's own here: no figure hangs on which of these words are unlikely.
        for token in text.ahead(question.shown):
            text.append(token)
        own = text.ahead(question.stands + 1)
        judged = [*own[: question.stands], *([(own[-1] + 1) % VOCABULARY] * (question.judged - question.stands))]
        begin = perf_counter()
        while (verdict := await self._ask(question, judged)) is None:
            pass
        self.tally.latencies.append(perf_counter() - begin)
        audited = len(text.ids) - self._audited + question.stands
        right = verdict.stands == question.stands and not any(verdict.audit.off_strict)
        right = right and len(verdict.audit.nll) == audited and verdict.HasField("token") == question.writes
        self.tally.wrong += not (right and (not question.writes or verdict.token == own[-1]))
        self._known = len(text.ids) + question.stands
        for token in own[: question.stands + question.writes]:
            text.append(token)
        self._audited = len(text.ids)
        self.tally.calls += 1
        self.tally.tokens += question.settled
        self.tally.served.add(self.number)
        self._at += 1
        if self._at == len(self._trace.calls) or len(text.ids) > CONTEXT - _MARGIN:
            await self._end()

    async def _ask(self, question: Call, judged: Sequence[int]) -> wire.Verdict | None:
        """Send it once; None where it is to be sent again: the target lacked what is before it, or the stream broke."""
        text, known = self._text, self._known
        try:
            async with asyncio.timeout(PATIENCE):
                await self._send(
                    position=known,
                    prefix_hash=text.hashes[known],
                    tokens=[*text.ids[known:], *judged],
                    audit_from=self._audited - known,
                    judge_from=len(text.ids) - known,
                    audit_only=not question.writes,
                )
                answer = await self._stream.read()
        except (grpc.RpcError, asyncio.InvalidStateError, TimeoutError):
            answer = None
        if not isinstance(answer, wire.DecodeResponse):
            await self._failed()
        elif answer.HasField("verdict"):
            return answer.verdict
        else:
            self.tally.resyncs += 1
            self._known = min(answer.resync.held, known)
        return None

    async def _send(self, **fields: Any) -> None:
        if self._stream is None:
            self._stream, self._sent = self._stub.Decode(metadata=about_session(self._session_id)), 0
        self._sent += 1
        request = wire.DecodeRequest(request_id=self._sent, **fields)
        if self._sent == 1:
            request.session.CopyFrom(codec.encode_session(self._session_id, Sampling(0.0, 0, 1.0, 0), Coupling.GUMBEL))
        await self._stream.write(request)

    async def _failed(self) -> None:
        stream, self._stream = self._stream, None
        if stream.done():
            self.tally.errors[f"{(await stream.code()).name}: {await stream.details()}"] += 1
        else:
            stream.cancel()
            self.tally.errors["no answer"] += 1
        await asyncio.sleep(PAUSE * (0.5 + 0.5 * self._chance.random()))

    async def _end(self) -> None:
        """End the text's stream as edges do, let the target forget it, and have another one to write."""
        self._stream.cancel()
        self._stream = None
        with suppress(grpc.RpcError):  # a release that is lost costs nothing
            await self._stub.Release(
                wire.ReleaseRequest(session_id=self._session_id), metadata=about_session(self._session_id)
            )
        self.tally.texts += 1
        self._next_text()
