"""Prompts that take longer to read than an edge has patience, over a real port: answered, given up, cut and drained."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import grpc
import pytest

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.server.server import TargetServer, running
from edge_client import Edge, Retry
from edge_client.bundles.bundle import Bundle
from edge_client.stream import ReadingWarning
from edge_client.target.reading import ReadingNote
from edge_client.testing import byte_tokenizer, random_script, scripted_bundle, scripted_edge
from edge_client.testing.scripts import blurred
from shared.config import Sampling
from shared.stopping import FinishReason
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.test_drain import sent

pytestmark = pytest.mark.slow

VOCABULARY, CONTEXT = byte_tokenizer().get_vocab_size(), 4096
SCRIPT = random_script(VOCABULARY)
# Of a chunk, seconds; clearly less than the patience, and all chunks together clearly more.
PAUSE = 0.12
CHUNKS = 50
PROMPT = "She saw it. " * (CHUNKS * ScriptedEngine.chunk // 12)
SHORT_PATIENCE = Retry(attempt=2.0, total=3.0)
# For what happens in a moment, on a machine that does much else.
PATIENCE = 30.0


class SlowReader(ScriptedEngine):
    """Takes its time for chunks of prompts, and for nothing else."""

    def __init__(self) -> None:
        super().__init__(SCRIPT, VOCABULARY, context=CONTEXT)
        self.chunks, self.read = 0, 0

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        most = max(feed.needed for feed in feeds)
        if most > 16:
            self.chunks += 1
            self.read += most
            time.sleep(PAUSE)
        return super().forward(feeds)


def doubting_bundle() -> Bundle:
    """One whose verifier asks about every other token."""
    return scripted_bundle(blurred(SCRIPT, 0.4), lambda step, draw: float(draw.token % 2), context=CONTEXT)


@contextmanager
def edge_of(address: str, **options: object) -> Iterator[Edge]:
    given = {"retry": SHORT_PATIENCE, "memory": False, "max_tokens": 8, "seed": 3}
    with Edge(address, bundle=doubting_bundle(), **given | options) as edge:
        yield edge


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("mode", ["exact", "sprint"])
def test_a_prompt_that_takes_longer_than_all_patience_is_answered_and_told_of(mode):
    told: list[str] = []
    engine = SlowReader()
    with running(engine) as address, edge_of(address, mode=mode, notify=told.append) as edge:
        completion = edge.generate(PROMPT)
    with scripted_edge(SCRIPT, bundle=doubting_bundle(), max_tokens=8, seed=3, mode=mode) as undisturbed:
        assert completion.token_ids == undisturbed.generate(PROMPT).token_ids
    assert engine.chunks >= CHUNKS
    assert completion.usage.reconnects == 0
    assert completion.usage.alone == 0
    words = [sentence for sentence in told if isinstance(sentence, ReadingNote)]
    assert words
    assert f"has read all of {completion.prompt_tokens:,} tokens, in" in words[-1]
    kept = [warning for warning in completion.warnings if isinstance(warning, ReadingWarning)]
    assert kept == words[-1:], "the last word is kept"


def test_a_text_that_is_cancelled_meanwhile_ends_within_a_chunk_on_both_sides():
    engine = SlowReader()
    with running(engine) as address, edge_of(address, mode="exact") as edge:
        stream = edge.stream(PROMPT)
        writer = threading.Thread(target=stream.finish, daemon=True)
        writer.start()
        until(lambda: engine.chunks > 5)
        stream.text.cancel()
        writer.join(PATIENCE)
        assert not writer.is_alive()
        chunks = engine.chunks
        assert chunks < CHUNKS, "long before it would have been read"
        assert stream.completion.finish_reason is FinishReason.CANCELLED
        time.sleep(5 * PAUSE)
        assert engine.chunks <= chunks + 3


def test_a_link_that_breaks_meanwhile_goes_on_from_what_was_read():
    engine = SlowReader()
    with running(engine) as address, edge_of(address, mode="cloud", retry=Retry(), on_outage="wait") as edge:
        stream = edge.stream(PROMPT)
        writer = threading.Thread(target=stream.finish, daemon=True)
        writer.start()
        for chunks in (10, 25):
            until(lambda chunks=chunks: engine.chunks > chunks)
            edge.switch.cut("a rehearsal")
            edge.switch.mend()
        writer.join(PATIENCE)
        completion = stream.completion
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.usage.reconnects >= 1
    assert engine.read <= completion.prompt_tokens + 3 * engine.chunk, "but for the chunks that were under way"


async def _drained() -> None:
    engine = SlowReader()
    server = TargetServer(engine, port=0)
    await server.start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        ids = byte_tokenizer().encode(PROMPT).ids
        call = TargetServiceStub(channel).Decode(sent(request(ids, 0, Sampling(), judge_from=len(ids))))
        for _ in count():
            if engine.chunks > 3:
                break
            await asyncio.sleep(0.005)
        assert await server.stop(drain_seconds=0.1), "all has ended"
        assert engine.chunks < CHUNKS
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()


def test_a_target_that_is_to_end_does_not_wait_until_all_is_read():
    asyncio.run(asyncio.wait_for(_drained(), PATIENCE))
