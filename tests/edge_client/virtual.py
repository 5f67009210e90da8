"""A target over a link, and a draft, that take time by a clock which costs none: how long a text takes is exact.

The loops are the real ones, and so is the choice of guesses. A pass takes all that has come by the time it begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest

from cloud_target.protocol.guesses import MOST_JUDGED, Guesses
from edge_client.decoding import drafter, generation
from edge_client.target import session
from edge_client.target.transport import Link, Transport
from edge_client.testing import ManualClock, ScriptedTarget
from edge_client.testing.scripts import Script
from shared import prefix_hash
from shared.wire import codec
from shared.wire.guesses import decode_guesses
from shared.wire.v1 import target_pb2 as wire


def stop_the_clocks(monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> None:
    """Whatever measures how long texts take goes by this clock."""
    for module in (session, generation):
        monkeypatch.setattr(module, "perf_counter", clock.now)
    monkeypatch.setattr(drafter, "perf_counter_ns", lambda: round(1e9 * clock.now()))


def remembered(script: Script, memory: int = 2) -> Script:
    """The same script, which hangs on so many tokens, quicker."""
    found = cache(lambda text: script(text))
    return lambda text: found(tuple(text[-memory:]))


def slow(script: Script, clock: ManualClock, seconds: float) -> Script:
    """The same script, which takes so long by the clock."""

    def logits(text: Sequence[int]) -> np.ndarray:
        clock.sleep(seconds)
        return script(text)

    return logits


class VirtualTransport(Transport):
    """A target at the other end of a link.

    Args:
        target: what it answers.
        clock: by which time passes.
        round_trip: of the link, seconds.
        step: what a pass takes, seconds, from how many tokens it reads.
    """

    def __init__(
        self, target: ScriptedTarget, clock: ManualClock, round_trip: float, step: Callable[[int], float]
    ) -> None:
        self.target, self.clock, self.round_trip, self.step = target, clock, round_trip, step

    def describe(self, timeout: float) -> wire.DescribeResponse:
        self.clock.sleep(self.round_trip)
        return self.target.describe()

    def open(self) -> Link:
        return _VirtualLink(self)

    def release(self, session_id: bytes) -> None:
        self.target.release(session_id)

    def close(self) -> None:
        pass


class _VirtualLink(Link):
    """One stream. All of the way is taken by the answers, which is the same to whoever waits for them."""

    def __init__(self, way: VirtualTransport) -> None:
        self._way, self._clock = way, way.clock
        self._stream = way.target.stream()
        self._guesses = Guesses()
        self._come: deque[tuple[float, wire.DecodeRequest]] = deque()
        self._gone: deque[tuple[float, wire.DecodeResponse]] = deque()
        self._writing: tuple[int, int] | None = None  # which request, and how many tokens are left
        self._free = 0.0

    def send(self, request: wire.DecodeRequest) -> None:
        self._come.append((self._clock.now(), wire.DecodeRequest.FromString(request.SerializeToString())))

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        while True:
            while (begin := self._begins()) is not None and begin <= self._clock.now():
                self._pass(begin)
            if self._gone and self._gone[0][0] <= self._clock.now():
                return self._gone.popleft()[1]
            if timeout <= 0:
                return None
            events = [self._gone[0][0]] if self._gone else []
            events += [begin] if begin is not None else []
            assert events, "nothing is under way, and somebody waits"
            self._clock.time = min(events)

    def close(self) -> None:
        pass

    def _begins(self) -> float | None:
        """When the next pass can begin."""
        if self._writing:
            return self._free
        return max(self._free, self._come[0][0]) if self._come else None

    def _pass(self, begin: float) -> None:
        rows, answers = 0, []
        while self._come and self._come[0][0] <= begin:
            _, message = self._come.popleft()
            if message.HasField("guesses"):
                self._guesses.add(decode_guesses(message.guesses, self._way.target.vocabulary))
                continue
            write_on, message.write_on, self._writing = message.write_on, 0, None
            for answer in self._stream.answers(message):
                is_judged = answer.WhichOneof("answer") == "verdict"
                if is_judged:
                    answer.verdict.names_guesses = write_on > 0
                rows += len(message.tokens) if is_judged else 0
                answers.append(answer)
                if is_judged and write_on and answer.verdict.HasField("token"):
                    self._writing = message.request_id, write_on
        if not answers and self._writing is None:
            return
        if not answers:
            rows, answer = self._write(*self._writing)
            answers.append(answer)
        end = begin + (self._way.step(rows) if rows else 0.0)
        for answer in answers:
            part = getattr(answer, answer.WhichOneof("answer"))
            if hasattr(part, "timing"):
                part.timing.forward_us = round(1e6 * (end - begin))
            self._gone.append((end + self._way.round_trip, answer))
        self._free = end

    def _write(self, number: int, left: int) -> tuple[int, wire.DecodeResponse]:
        """A pass that writes: how many tokens it reads, and what comes of it."""
        terms, text = self._stream._terms, self._stream._texts[self._stream._terms.session_id]
        picked = self._guesses.pick(len(text), prefix_hash.extend(0, text), min(MOST_JUDGED, left - 1))
        paths: list[list[int]] = []
        for token, parent in zip(picked.tokens, picked.parents, strict=True):
            paths.append([*(paths[parent] if parent >= 0 else ()), token])
        own = [self._stream._opinion([*text, *path], terms).own for path in ([], *paths)]
        stands = picked.path(own)
        tokens = [picked.tokens[i] for i in stands] + [own[stands[-1] + 1 if stands else 0]]
        ends = next((i + 1 for i, token in enumerate(tokens) if token in terms.end_ids), len(tokens))
        begin, tokens = len(text), tokens[:ends]
        text += tokens
        done = len(tokens) >= left or tokens[-1] in terms.end_ids
        self._writing = None if done else (number, left - len(tokens))
        written = wire.Continuation(
            position=begin,
            tokens=tokens,
            nll=codec.encode_nll([0.0] * len(tokens)),
            unlikely=codec.encode_bitmap([False] * len(tokens)),
            done=done,
        )
        return 1 + len(picked.tokens), wire.DecodeResponse(request_id=number, continuation=written)
