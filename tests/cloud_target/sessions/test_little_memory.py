"""Many sessions in little memory: what is evicted, lent and forgotten changes no text, and leaves nothing behind."""

from __future__ import annotations

import gc
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.sessions.session import Session
from shared.config import Sampling
from shared.wire.v1 import target_pb2 as wire
from tests.cloud_target.protocol.reference import Cloud, alone, request

VOCABULARY, CONTEXT = 6, 40
SCRIPT = random_script(VOCABULARY)


def make_cloud(slots: int = 2, prefix_caching: bool = True) -> Cloud:
    return Cloud(ScriptedEngine(SCRIPT, VOCABULARY, slots, CONTEXT), prefix_caching)


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def verdict(cloud: Cloud, text: list[int], sent: int, sampling: Sampling, session: bytes) -> wire.Verdict:
    """The verdict on a text of which `sent` tokens were sent before; resyncs are met with the rest."""
    [response] = cloud.ask(request(text, sent, sampling, judge_from=len(text), session_id=session))
    if response.HasField("resync"):
        held = response.resync.held
        [response] = cloud.ask(request(text, held, sampling, judge_from=len(text), session_id=session))
    return response.verdict


@pytest.mark.parametrize("prefix_caching", [True, False])
def test_ten_times_more_sessions_than_fit_write_the_same_texts(prefix_caching):
    """20 texts of up to 30 tokens, one token of each in turn, in a cache that holds two of full length."""
    cloud, lengths = make_cloud(prefix_caching=prefix_caching), [30 - i % 7 for i in range(20)]
    prompts = [[1 + i % 4, i % 6, *[i % 5] * (i % 9)] for i in range(20)]
    texts, sent = [list(prompt) for prompt in prompts], [0] * 20
    samplings = [Sampling(0.8, seed=i) for i in range(20)]
    while any(len(text) < length for text, length in zip(texts, lengths, strict=True)):
        for i, (text, length) in enumerate(zip(texts, lengths, strict=True)):
            if len(text) < length:
                text.append(verdict(cloud, text, sent[i], samplings[i], name(i)).token)
                sent[i] = len(text)
    for prompt, text, sampling in zip(prompts, texts, samplings, strict=True):
        assert text == alone(SCRIPT, prompt, sampling, len(text))


def read(cloud: Cloud, text: list[int], session: bytes, tenant: str = "") -> int:
    """Have a text read and the next token written; returns how many tokens the engine read for it."""
    before, sampling = cloud.engine.fed, Sampling(0.0)
    [response] = cloud.ask(request(text, 0, sampling, judge_from=len(text), session_id=session), tenant)
    assert response.verdict.token == alone(SCRIPT, text, sampling, len(text) + 1)[-1]
    return cloud.engine.fed - before


def test_a_beginning_that_another_session_has_read_is_not_read_again():
    cloud, text = make_cloud(4), [i * i % 6 for i in range(24)]
    assert read(cloud, text, name(1)) == 24
    assert read(cloud, [*text, 1, 2], name(2)) == 2
    assert read(cloud, [*text[:20], 5, 5], name(3)) == 2
    assert read(cloud, text[:20], name(4)) == 1
    assert read(cloud, [*text[:7], 5], name(5)) == 8  # less than a block is not worth copying
    assert read(cloud, [*text, 1, 2, 3], name(2)) == 1  # what the session itself holds is not read again either


def test_no_beginning_is_shared_between_tenants_or_where_it_is_switched_off():
    cloud, text = make_cloud(4), [i * i % 6 for i in range(24)]
    assert read(cloud, text, name(1), "one") == 24
    assert read(cloud, text, name(2), "two") == 24
    assert read(cloud, text, name(1), "two") == 1
    assert read(cloud, text, name(3), "") == 24
    cloud = make_cloud(4, prefix_caching=False)
    assert [read(cloud, text, name(i)) for i in (1, 2)] == [24, 24]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_shared_beginnings_change_no_text(data):
    """Sessions of two tenants rewrite, lend and borrow; every answer is that of a cloud that knew nothing."""
    cloud = Cloud(ScriptedEngine(SCRIPT, VOCABULARY, data.draw(st.integers(1, 3)), CONTEXT, block=2))
    stem = [i % VOCABULARY for i in range(20)]
    for _ in range(data.draw(st.integers(1, 15))):
        text = stem[: data.draw(st.integers(1, 20))] + data.draw(st.lists(st.integers(0, VOCABULARY - 1), max_size=6))
        read(cloud, text, name(data.draw(st.integers(0, 3))), data.draw(st.sampled_from("ab")))


def size_of(cloud: Cloud) -> int:
    """Bytes of all that the table and the engine keep, by walking through it."""
    seen, waiting, total = set(), [vars(cloud.table), cloud.engine._held], 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type) or one is cloud.engine or callable(one):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        waiting += gc.get_referents(one)
    return total


def sessions_alive() -> int:
    gc.collect()
    return sum(type(one) is Session for one in gc.get_objects())


@pytest.mark.slow
def test_abandoned_sessions_leave_nothing_behind():
    """20,000 sessions are opened and never released; after the first hundreds, memory stays where it is."""
    cloud, sizes, others = make_cloud(8), [], sessions_alive()
    for i in range(20_000):
        session = cloud.table.take(name(i), 10, str(i % 50))
        session.rewrite(0, [i % 6] * 10, cached=10)
        cloud.engine._held[session.slot] = [i % 6] * 10
        cloud.table.put_back(name(i))
        if i % 4000 == 999:
            gc.collect()
            sizes.append(size_of(cloud))
    assert len(cloud.table) == len(cloud.engine.held) == 8 * CONTEXT // 16
    assert max(sizes) < 1.1 * sizes[0]
    assert sessions_alive() - others <= len(cloud.table) + 1


def test_sessions_that_never_get_a_cache_are_not_kept():
    cloud = make_cloud()
    for i in range(100):
        [response] = cloud.ask(request([1, 2, 3], 2, Sampling(), session_id=name(i)))
        assert response.HasField("resync")
    assert len(cloud.table) == cloud.table.used == 0
