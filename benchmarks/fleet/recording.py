"""Texts of a real pair of models, with all that they ask of the target, for simulated devices to draw from.

The target takes at least `step` for a pass, and devices reach it over the link `home`, as in docs/benchmarks.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.fleet.traces import Call, Pass, Trace
from benchmarks.network.process import relay_process
from benchmarks.network.profiles import PROFILES
from benchmarks.prompts import EVERY
from benchmarks.report.classic import write_in_windows
from benchmarks.report.paced import PacedEngine
from benchmarks.report.plan import TYPICAL_LINK
from benchmarks.report.systems import STRICT
from cloud_target.engine.files import POCKET
from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.load import load_engine
from cloud_target.engine.settings import EngineSettings
from cloud_target.server.server import running
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.settings import Settings
from edge_client.target.grpc_transport import GrpcTransport
from edge_client.target.transport import Link, Transport
from shared.config import Criterion, Mode
from shared.errors import TargetError
from shared.tokenizer import encode_prompt
from shared.wire.v1 import target_pb2 as wire

# The sampling of docs/benchmarks.md.
USUAL = Settings(temperature=0.7, top_p=0.9)
SYSTEMS = {
    "sprint, typical 1 %": replace(USUAL, mode=Mode.SPRINT),
    f"sprint, strict {100 * STRICT:g} %": replace(USUAL, mode=Mode.SPRINT, criterion=Criterion.STRICT, budget=STRICT),
    "exact": replace(USUAL, mode=Mode.EXACT),
}
SPRINT = "sprint, typical 1 %"
# Guesses at once where it is recorded which of the draft's tokens are right.
_WINDOW = 16


class NotedEngine(PacedEngine):
    """A paced engine that tells of each feed: when its pass began and ended, what it was and what was found."""

    note: Callable[[float, float, Feed, Scores], None] | None = None

    def forward(self, feeds: Sequence[Feed]) -> Sequence[Scores | TargetError]:
        """See `Engine.forward`."""
        begin = time.perf_counter()
        found = super().forward(feeds)
        if self.note is not None:
            for feed, scores in zip(feeds, found, strict=True):
                if isinstance(scores, Scores):
                    self.note(begin, time.perf_counter(), feed, scores)
        return found


def hits_of(feed: Feed, own: Sequence[int]) -> tuple[int, ...]:
    """Which guesses of a feed the target would have written itself, one after the other, counted from 1.

    Args:
        own: the target's tokens behind the scored rows.
    """
    follows, hits, at = feed.follows(), [], feed.needed - 1
    for place in range(feed.needed, len(feed.tokens)):
        if follows[place] == at and feed.tokens[place] == own[at - feed.score_from]:
            hits.append(place - feed.needed + 1)
            at = place
    return tuple(hits)


class NotedLink:
    """A link that keeps what was asked and what was answered."""

    def __init__(self, link: Link, calls: list[Call]) -> None:
        self._link, self._calls = link, calls
        self._asked: dict[int, wire.DecodeRequest] = {}

    def send(self, request: wire.DecodeRequest) -> None:
        """See `Link.send`."""
        self._asked[request.request_id] = request
        self._link.send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        """See `Link.receive`."""
        answer = self._link.receive(timeout)
        if answer is not None and answer.HasField("verdict"):
            asked, verdict = self._asked[answer.request_id], answer.verdict
            shown, judged = asked.judge_from - asked.audit_from, len(asked.tokens) - asked.judge_from
            self._calls.append(Call(asked.audit_from, shown, judged, verdict.stands, verdict.HasField("token")))
        return answer

    def close(self) -> None:
        """See `Link.close`."""
        self._link.close()


class NotedTransport:
    """A transport whose links keep what they carry; `calls` has it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.calls: list[Call] = []

    def describe(self, timeout: float) -> wire.DescribeResponse:
        """See `Transport.describe`."""
        return self._transport.describe(timeout)

    def open(self) -> Link:
        """See `Transport.open`."""
        return NotedLink(self._transport.open(), self.calls)

    def fetch(self, digest: bytes, file: str, offset: int, timeout: float) -> Generator[bytes]:
        """See `Transport.fetch`."""
        return self._transport.fetch(digest, file, offset, timeout)

    def release(self, session_id: bytes) -> None:
        """See `Transport.release`."""
        self._transport.release(session_id)

    def close(self) -> None:
        """See `Transport.close`."""
        self._transport.close()


def record(texts: int, tokens: int, step: float, tell: Callable[[str], None]) -> dict[str, list[Trace]]:
    """Texts of the embedded pair by each of `SYSTEMS`.

    Args:
        texts: of each; after the built-in prompts.
        tokens: most tokens of each.
        step: least time of a pass, seconds.
        tell: hears of progress.
    """
    bundle = Bundle.load()
    prompts = [encode_prompt(bundle.tokenizer, EVERY[number % len(EVERY)]) for number in range(texts)]
    engine = NotedEngine(load_engine(EngineSettings(POCKET, "cpu", "float32", threads=1)), step, [0.0, 0.0])
    found: dict[str, list[Trace]] = {}
    with ExitStack() as stack:
        address = stack.enter_context(running(engine))
        over = stack.enter_context(relay_process(PROFILES[TYPICAL_LINK], address))
        transport = NotedTransport(GrpcTransport(over))
        edge = stack.enter_context(Edge(transport=transport, bundle=bundle, memory=False, on_outage="wait"))
        for system, settings in SYSTEMS.items():
            tell(f"the embedded pair writes {texts} texts by {system}")
            found[system] = [
                _written(edge, transport, engine, prompt, replace(settings, seed=seed, max_tokens=tokens))
                for seed, prompt in enumerate(prompts)
            ]
        tell(f"the embedded pair writes {texts} texts in windows, to see which of the draft's tokens are right")
        found["exact"] = [
            replace(trace, right=_right(edge, transport, prompt, replace(USUAL, seed=seed, max_tokens=tokens)))
            for seed, (prompt, trace) in enumerate(zip(prompts, found["exact"], strict=True))
        ]
    return found


def _written(
    edge: Edge, transport: NotedTransport, engine: NotedEngine, prompt: Sequence[int], settings: Settings
) -> Trace:
    passes: list[Pass] = []
    shown, ended = 0, time.perf_counter()

    def note(begin: float, end: float, feed: Feed, scores: Scores) -> None:
        nonlocal ended
        hits = hits_of(feed, scores.own.tolist())
        passes.append(Pass(max(begin - ended, 0.0), feed.needed, feed.spare, hits, shown))
        ended = end

    transport.calls.clear()
    engine.note = note
    try:
        with edge.stream(prompt, **vars(settings)) as stream:
            for _ in stream:
                shown += 1
    finally:
        engine.note = None
    return Trace(len(prompt), shown, passes, list(transport.calls))


def _right(edge: Edge, transport: NotedTransport, prompt: Sequence[int], settings: Settings) -> list[bool]:
    transport.calls.clear()
    ids, _ = write_in_windows(edge, prompt, replace(settings, mode=Mode.EXACT, window=_WINDOW))
    right: list[bool] = []
    for call in transport.calls:
        # What the target adds after a window that stands was not guessed at all: it counts as right.
        right += [True] * call.stands + [call.stands == call.judged] * call.writes
    return (right + [True] * len(ids))[: len(ids)]
