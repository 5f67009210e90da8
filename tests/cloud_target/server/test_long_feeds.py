"""A prompt that takes minutes to read, in fake time: its edge hears how far it is, and what was read is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import grpc
import pytest

from cloud_target.engine.scripted import ScriptedEngine
from shared.config import Sampling
from shared.wire.v1 import target_pb2 as wire
from tests.cloud_target.protocol.reference import alone, request
from tests.cloud_target.scheduling.gated import SCRIPT, VOCABULARY
from tests.cloud_target.server.devices import Context, Ended, Service
from tests.cloud_target.server.fake_time import run_in_fake_time

pytestmark = pytest.mark.slow

SAMPLING = Sampling(0.8, seed=5)
CHUNK = ScriptedEngine.chunk
# Of one pass, seconds; so three minutes for the prompt.
PASS = 1.5
PROMPT = [i * i % VOCABULARY for i in range(120 * CHUNK)]
CONTEXT = len(PROMPT) + 256
OWN = alone(SCRIPT, PROMPT, SAMPLING, len(PROMPT) + 1)[-1]


class Listening(Context):
    """A call that remembers when it heard what."""

    def __init__(self) -> None:
        super().__init__("", 0.0)
        self.times: list[float] = []

    async def write(self, answer: wire.DecodeResponse) -> None:
        await super().write(answer)
        self.times.append(asyncio.get_running_loop().time())

    @property
    def words(self) -> list[wire.Reading]:
        return [answer.reading for answer in self.heard if answer.HasField("reading")]


def engine(slots: int = 2) -> ScriptedEngine:
    return ScriptedEngine(SCRIPT, VOCABULARY, slots, CONTEXT)


async def sent(text: list[int], reading_ms: int = 1000, session: int = 0) -> AsyncIterator[wire.DecodeRequest]:
    """What an edge asks about a text first, on a stream that ends then."""
    message = request(text, 0, SAMPLING, judge_from=len(text), session_id=session.to_bytes(16, "big"))
    message.session.reading_ms = reading_ms
    yield message


def test_a_prompt_of_three_minutes_is_answered_and_told_of_until_then():
    async def test() -> None:
        service, call = Service(engine()), Listening()
        await service.decode(sent(PROMPT), call)
        *words, verdict = call.heard
        assert verdict.verdict.token == OWN
        assert call.times[-1] == pytest.approx(120 * PASS, abs=2 * PASS)
        assert {word.request_id for word in words} == {1}
        assert {word.reading.of for word in words} == {len(PROMPT)}
        reads = [word.reading.read for word in words]
        assert reads == sorted(reads)
        assert len({*reads}) == 120, "every chunk is told of, and that none is read yet"
        assert all(0.99 < later - earlier < PASS + 1.01 for earlier, later in pairwise(call.times[:-1]))
        await service.close()

    run_in_fake_time(test(), PASS)


@pytest.mark.parametrize(("text", "reading_ms"), [(PROMPT, 0), (PROMPT[:CHUNK], 1), (PROMPT[:3], 50)])
def test_nobody_is_told_who_does_not_ask_for_it_or_whose_text_is_short(text, reading_ms):
    async def test() -> None:
        service, call = Service(engine()), Listening()
        await service.decode(sent(text, reading_ms), call)
        assert [answer.WhichOneof("answer") for answer in call.heard] == ["verdict"]
        await service.close()

    run_in_fake_time(test(), PASS)


def test_however_often_an_edge_wants_to_hear_it_is_not_flooded():
    async def test() -> None:
        service, call = Service(engine()), Listening()
        await service.decode(sent(PROMPT[: 4 * CHUNK], 1), call)
        assert all(later - earlier > 0.049 for earlier, later in pairwise(call.times[:-1]))
        assert 4 * PASS / 0.06 < len(call.heard) < 4 * PASS / 0.04
        await service.close()

    run_in_fake_time(test(), PASS)


def test_who_waits_for_others_in_line_hears_that_it_is_not_forgotten():
    async def test() -> None:
        service, calls = Service(engine(8)), [Listening() for _ in range(6)]
        texts = [PROMPT[: (4 + i) * CHUNK] for i in range(6)]
        await asyncio.gather(
            *(service.decode(sent(text, session=i), calls[i]) for i, text in enumerate(texts)),
        )
        for call in calls:
            assert call.heard[-1].HasField("verdict")
            assert all(later - earlier < 1.01 for earlier, later in pairwise(call.times[:-1]))
        assert max(len(call.words) - len({word.read for word in call.words}) for call in calls) > 4
        await service.close()

    run_in_fake_time(test(), PASS)


def test_an_edge_that_leaves_is_read_for_no_further_and_goes_on_from_there():
    async def test() -> None:
        target = engine()
        service = Service(target)
        for left in (0.3, 20.0, 50.0):
            call = Listening()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(left):
                    await service.decode(sent(PROMPT), call)
            passes = target.passes
            await asyncio.sleep(30.0)
            assert target.passes <= passes + 1, "but for the chunk that was under way"
        last = Listening()
        await service.decode(sent(PROMPT), last)
        assert last.words[0].read >= call.words[-1].read > 0, "what was read is kept"
        assert last.heard[-1].verdict.token == OWN
        assert target.fed <= len(PROMPT) + 3 * CHUNK, "only a chunk that was under way is read twice"
        await service.close()

    run_in_fake_time(test(), PASS)


@pytest.mark.parametrize("reading_ms", [0, 2**32 - 1])
def test_another_stream_of_the_same_session_goes_on_where_an_older_one_hangs(reading_ms):
    async def test() -> None:
        target = engine()
        service, old, new = Service(target), Listening(), Listening()
        older = asyncio.create_task(service.decode(sent(PROMPT, reading_ms), old))
        await asyncio.sleep(60.0)
        await service.decode(sent(PROMPT), new)
        with pytest.raises(Ended, match="another stream goes on") as refused:
            await older
        assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
        assert not any(answer.HasField("verdict") for answer in old.heard)
        assert new.heard[-1].verdict.token == OWN
        assert new.words[0].read > len(PROMPT) / 4
        assert target.fed <= len(PROMPT) + CHUNK
        await service.close()

    run_in_fake_time(test(), PASS)
