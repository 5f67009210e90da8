"""Simulated edges: each writes one text after the other, and asks as a real one would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from time import perf_counter

import grpc

from cloud_target.bench.draft import Luck
from cloud_target.bench.plan import Kind, Plan
from cloud_target.bench.stream import Stream
from cloud_target.bench.tally import Tally
from cloud_target.bench.texts import Text
from cloud_target.options.dial import Line
from shared.errors import LinkBroken, TargetRefused
from shared.wire import codec
from shared.wire.metadata import about_session
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub

# Most tokens between two calls, as edge-client has it by default.
RUN = 32
# Guesses a call, as edge-client has it by default.
GUESSES = 8


class Edge:
    """One device at work.

    Args:
        number: of this edge; decides what it does, and which text it writes.
        vocabulary: of the target.
    """

    def __init__(self, number: int, plan: Plan, texts: Sequence[Text], line: Line, tally: Tally, vocabulary: int):
        self._number, self._plan, self._texts, self._line = number, plan, texts, line
        self._tally, self._vocabulary = tally, vocabulary
        self._kind = plan.kind(number)
        self._chance = Random(f"{plan.seed} {number}")
        self._luck = Luck(plan.agreement, self._chance)

    async def work(self, stub: TargetServiceStub) -> str | None:
        """Write texts until cancelled; returns what the target said if it will never serve this edge."""
        await asyncio.sleep(self._plan.think * self._chance.random())
        text = self._texts[self._number % len(self._texts)]
        while True:
            session = text.opening.session(self._chance.randbytes(codec.SESSION_ID_BYTES))
            stream = Stream(stub, session, self._line.metadata, self._tally, self._chance)
            try:
                await (self._stream(stream, text) if self._kind is Kind.CLOUD else self._ask(stream, text))
            except TargetRefused as error:
                return str(error)
            except LinkBroken:
                continue  # only `cloud` gives a text up, because nothing of it can be repeated by halves
            await stream.close()
            self._tally.texts += 1
            if self._chance.random() < self._plan.abandon:
                self._tally.abandoned += 1
            else:
                await self._release(stub, session.session_id)

    async def _ask(self, stream: Stream, text: Text) -> None:
        """`sprint` and `exact`: runs of tokens that the target judges, and at the end the tail."""
        known, shown = 0, text.begin
        while shown < len(text.ids):
            shown, known = await self._call(stream, text, known, shown)
            await self._think()

    async def _call(self, stream: Stream, text: Text, known: int, shown: int) -> tuple[int, int]:
        """One question, repeated until it is answered.

        Args:
            known: how much of the text the target has, as far as this edge knows.
            shown: how much of it the user has seen.

        Returns:
            The new `shown` and `known`.
        """
        judge_from, asked = self._question(text, shown)
        last = judge_from == len(text.ids)
        kind = "prompt" if shown == text.begin else "tail" if last else self._kind.value
        begun = perf_counter()
        while True:
            try:
                await stream.send(
                    position=known,
                    prefix_hash=text.hashes[known],
                    tokens=[*text.ids[known:judge_from], *asked],
                    audit_from=max(shown - known, 0),
                    judge_from=judge_from - known,
                    audit_only=last,
                )
                answer = await stream.receive()
            except LinkBroken:
                continue
            if answer.WhichOneof("answer") == "verdict":
                break
            self._tally.resyncs += 1
            known = min(answer.resync.held, known)
        self._tally.answered(kind, perf_counter() - begun)
        self._tally.timed(answer.verdict.timing)
        self._tally.judged += judge_from - shown + len(asked)
        return self._after(text, answer.verdict, judge_from)

    def _question(self, text: Text, shown: int) -> tuple[int, list[int]]:
        """Where the judged tokens begin, and what they are: one at most in `sprint`, a window of guesses in `exact`."""
        end = len(text.ids)
        if self._kind is Kind.SPRINT:
            run = self._luck.run(RUN)
            position = min(shown + run, end)
            if run == RUN or position == end:
                return position, []
            return position, [text.ids[position] if self._luck.stands() else text.wrong(position, self._vocabulary)]
        guesses = text.ids[shown : shown + GUESSES]
        right = self._luck.run(len(guesses))
        if right < len(guesses):
            guesses[right] = text.wrong(shown + right, self._vocabulary)
        return shown, guesses

    def _after(self, text: Text, verdict: wire.Verdict, judge_from: int) -> tuple[int, int]:
        """Where a verdict leaves the text: the recording goes on, whatever the target says instead."""
        known = judge_from + verdict.stands
        if not verdict.HasField("token") or known >= len(text.ids):
            return known, known
        self._tally.written += 1
        if verdict.token != text.ids[known]:
            self._tally.differing += 1
            return known + 1, known
        return known + 1, known + 1

    async def _stream(self, stream: Stream, text: Text) -> None:
        """`cloud`: the target writes the whole text by itself."""
        count = len(text.ids) - text.begin
        begun = perf_counter()
        await stream.send(tokens=text.opening.prompt, audit_from=text.begin, judge_from=text.begin, write_on=count - 1)
        position, is_done = text.begin, False
        while not is_done:
            answer = await stream.receive()
            now = perf_counter()
            if answer.HasField("verdict"):
                self._tally.answered("prompt", now - begun)
                timing, tokens = answer.verdict.timing, [answer.verdict.token]
            else:
                self._tally.answers["token"].append(now - begun)
                part = answer.continuation
                timing, tokens, is_done = part.timing, list(part.tokens), part.done
            self._tally.timed(timing)
            self._tally.written += len(tokens)
            expected = text.ids[position : position + len(tokens)]
            self._tally.differing += sum(a != b for a, b in zip(tokens, expected, strict=False))
            position, begun = position + len(tokens), now
        await self._think()

    async def _think(self) -> None:
        if self._plan.think:
            await asyncio.sleep(self._plan.think * (0.5 + self._chance.random()))

    async def _release(self, stub: TargetServiceStub, session_id: bytes) -> None:
        # The run may be over, or the target gone: a release that is lost costs nothing.
        with suppress(grpc.RpcError, grpc.aio.BaseError):
            about = about_session(session_id, self._line.metadata)
            await stub.Release(wire.ReleaseRequest(session_id=session_id), metadata=about, timeout=5.0)
