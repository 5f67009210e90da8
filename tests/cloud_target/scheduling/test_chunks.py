"""A feed that is read in chunks; that its scores are those of the whole is tested with the engine and the scheduler."""

from __future__ import annotations

from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.scheduling.chunks import ChunkedFeed
from tests.cloud_target.scheduling.gated import CONTEXT, SCRIPT, VOCABULARY, a_feed


def test_chunks_of_a_feed_that_is_only_read_score_nothing_but_its_end():
    chunks = ChunkedFeed(a_feed(0, 25))
    sizes = []
    engine = ScriptedEngine(SCRIPT, VOCABULARY, 4, CONTEXT)
    while chunks.read < 25:
        chunk = chunks.next(10)
        sizes.append((chunk.start, len(chunk.tokens), chunk.score_from))
        chunks.add(chunk, engine.forward([chunk])[0])
    assert sizes == [(0, 10, 9), (10, 10, 9), (20, 5, 4)]
    assert len(chunks.scores().own) == 1
