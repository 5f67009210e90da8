"""A real model behind the scheduler: 64 texts written at once are the texts that are written one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.engine.interface import Feed, Scores
from cloud_target.protocol.guesses import Guesses
from cloud_target.protocol.prospects import Prospects
from cloud_target.protocol.requests import Request
from cloud_target.scheduling.scheduler import Scheduler
from cloud_target.scheduling.settings import SchedulerSettings
from cloud_target.server.leases import Leases
from cloud_target.server.timeouts import Timeouts
from cloud_target.sessions.table import SessionTable
from cloud_target.testing.drive import drive
from shared import prefix_hash as prefix
from shared.config import Sampling
from shared.wire.guesses import TEXT, GuessTree
from shared.wire.v1 import target_pb2 as wire
from tests.cloud_target.engine.checkpoints import CONTEXT, VOCABULARY, write_checkpoint
from tests.cloud_target.protocol.reference import Cloud, request

SESSIONS, WRITE = 64, 12


def make_engine(directory: Path, texts: int) -> TargetEngine:
    return TargetEngine(load_target(str(directory), "cpu"), memory=texts * CONTEXT * 256)


def messages() -> list[wire.DecodeRequest]:
    """Prompts of 1 to 40 tokens, many of which begin alike."""
    found = []
    for i in range(SESSIONS):
        prompt = [(j * (1 + i % 2) + 3) % VOCABULARY for j in range(1 + i * 7 % 40)]
        sampling = Sampling(0.9 if i % 3 else 0.0, 0, 0.9, i)
        session_id = bytes([i]) * 16
        found.append(request(prompt, 0, sampling, judge_from=len(prompt), write_on=WRITE, session_id=session_id))
    return found


def written(responses: list[wire.DecodeResponse]) -> list[int]:
    return [responses[0].verdict.token, *(token for r in responses[1:] for token in r.continuation.tokens)]


def guesses(request: Request, expected: list[int]) -> Guesses:
    """Of every other text all that comes, right but for one token."""
    found, number = Guesses(), request.terms.session_id[0]
    if number % 2:
        known, line = [*request.tokens, expected[0]], expected[1:]
        wrong = number % len(line)
        line[wrong] = (line[wrong] + 1) % VOCABULARY
        found.add(GuessTree(len(known), prefix.extend(0, known), line, range(TEXT, len(line) - 1)))
    return found


class Scheduled:
    """An engine whose passes are those of a scheduler, for threads beside its event loop."""

    def __init__(self, engine: TargetEngine, scheduler: Scheduler, loop: asyncio.AbstractEventLoop) -> None:
        self.context, self.description = engine.context, engine.description
        self.description = engine.description
        self._scheduler, self._loop = scheduler, loop

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        return [asyncio.run_coroutine_threadsafe(self._scheduler.run(feed), self._loop).result() for feed in feeds]


async def at_once(
    engine: TargetEngine, requests: list[Request], guessed: list[Guesses], chunk: int
) -> list[list[wire.DecodeResponse]]:
    """All requests through one scheduler, each in a thread of its own."""
    scheduler = Scheduler(engine, settings=SchedulerSettings(chunk=chunk))
    table = SessionTable(engine, scheduler.do)
    leases = Leases(table, Timeouts(patience=60))
    loop = asyncio.get_running_loop()
    scheduled = Scheduled(engine, scheduler, loop)

    async def write(request: Request, guesses: Guesses) -> list[wire.DecodeResponse]:
        async with leases.take(request, engine.context) as lease:
            return await loop.run_in_executor(
                threads, lambda: list(drive(lease.session, request, scheduled, Prospects(guesses)))
            )

    with ThreadPoolExecutor(len(requests)) as threads:
        found = await asyncio.gather(*map(write, requests, guessed))
    await scheduler.drained()
    await scheduler.close()
    table.check_integrity()
    scheduler.check_integrity()
    engine.check_integrity()
    return found


# gptj is a model that runs padded. Room for all texts, and for a few at a time; for few guesses in a pass, and for all.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "texts", "chunk"),
    [("llama", 64, 8), ("llama", 6, 8), ("gptj", 64, 8), ("llama", 64, 1000), ("gptj", 64, 1000)],
)
def test_64_texts_at_once_are_those_of_one_by_one(tmp_path, kind, texts, chunk):
    directory = write_checkpoint(tmp_path / kind, kind)
    one_by_one = Cloud(make_engine(directory, SESSIONS), prefix_caching=False)
    expected = [written(one_by_one.ask(message)) for message in messages()]
    requests = [one_by_one.parse(message) for message in messages()]
    guessed = [guesses(request, text) for request, text in zip(requests, expected, strict=True)]
    found = asyncio.run(at_once(make_engine(directory, texts), requests, guessed, chunk))
    assert [written(responses) for responses in found] == expected
    passes = [len(responses) - 1 for responses in found]
    assert set(passes[::2]) == {WRITE}
    if chunk == 1000:
        assert max(passes[1::2]) < WRITE
