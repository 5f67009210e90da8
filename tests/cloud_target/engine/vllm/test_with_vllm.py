"""vLLM itself beside the engine of this project: the same answers, whatever was read before and beside.

It is left out where vLLM is not installed; `make test-vllm` has an environment with it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from cloud_target.engine.interface import Engine, Feed, Masks, Scores
from cloud_target.engine.settings import VLLM, EngineSettings
from shared.config import Coupling, Sampling
from shared.errors import InputError
from tests.end_to_end.families import FAMILIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM; make test-vllm has it"),
]
CONTEXT = 79  # the family's context less the one that vLLM keeps


# What Python reads there as it starts lets vLLM's second runner run without a GPU.
INTERPRETED = Path(__file__).parent / "interpreted"


@contextmanager
def model_runner(is_second: bool) -> Iterator[None]:
    """What vLLM loads has its first, or its second runner."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VLLM_USE_V2_MODEL_RUNNER", "1" if is_second else "0")
        if is_second:
            environment.setenv("PYTHONPATH", str(INTERPRETED), prepend=os.pathsep)
            environment.setattr("vllm.config.vllm.HAS_TRITON", True)  # here it has none, and runs nothing
        yield


@pytest.fixture(scope="module", params=["pocket", "llama", "llama, second runner"])
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    """The same target in both: vLLM's, and ours."""
    from cloud_target.engine.load import load_engine
    from cloud_target.engine.vllm.load import load_vllm

    target, notes = "pocket", []
    if request.param != "pocket":
        family = FAMILIES["llama"]
        family = replace(family, options=family.options | {"head_dim": 32})  # its kernels know no narrower ones
        target = str(family.write(tmp_path_factory.mktemp("checkpoint") / "llama"))
    with model_runner(is_second="second" in request.param):
        theirs = load_vllm(EngineSettings(target, "cpu", "float32", 1 << 28, CONTEXT, 1, VLLM), tell=notes.append)
    try:
        assert notes == []
        yield theirs, load_engine(EngineSettings(target, "cpu", "float32", 1 << 26, CONTEXT, 1))
    finally:
        theirs.close()


def asked(engine: Engine, feeds: Sequence[Feed], tenant: str = "") -> list[Scores]:
    """What it answers to all of these at once."""
    answers: SimpleQueue = SimpleQueue()
    for i, feed in enumerate(feeds):
        engine.start(feed, tenant, lambda found, i=i: answers.put((i, found)))
    found = dict(answers.get(timeout=120) for _ in feeds)
    for one in found.values():
        if isinstance(one, Exception):
            raise one
    return [found[i] for i in range(len(feeds))]


def assert_same(one: Scores, other: Scores) -> None:
    assert one.own.tolist() == other.own.tolist()
    assert one.given.off_strict.tolist() == other.given.off_strict.tolist()
    assert np.allclose(one.own_nll, other.own_nll, atol=2e-3)
    assert np.allclose(one.given.nll, other.given.nll, atol=2e-3)
    # A value that is nearly at the limit may be on either side of it.
    assert np.mean(one.own_unlikely != other.own_unlikely) < 0.2
    assert np.mean(np.append(one.given.unlikely, False) != np.append(other.given.unlikely, False)) < 0.2


def random_feed(chance: random.Random, slot: int, start: int, vocabulary: int) -> Feed:
    count = chance.choice([1, 2, 5, 20, CONTEXT - start])
    count = max(min(count, CONTEXT - start), 1)
    tokens = tuple(chance.randrange(vocabulary) for _ in range(count))
    score_from = chance.randrange(count)
    sampling = Sampling(
        chance.choice([0.0, 0.7, 1.0]), chance.choice([0, 0, 20]), chance.choice([0.9, 1.0]), chance.getrandbits(64)
    )
    judged = chance.randrange(count - score_from)
    match chance.choice(["plain", "guesses", "residual", "masked"]):
        case "guesses":
            return Feed(slot, start, tokens, score_from, sampling, spare=judged)
        case "residual" if judged:
            q = tuple((np.array([x, (x + 1) % vocabulary]), np.array([0.75, 0.25])) for x in tokens[-judged:])
            return Feed(slot, start, tokens, score_from, sampling, Coupling.RESIDUAL, q)
        case "masked":
            width = -(-vocabulary // 8)
            rows = np.random.default_rng(count).integers(0, 256, (count - score_from, width)).astype(np.uint8) | 1
            return Feed(slot, start, tokens, score_from, sampling, masks=Masks(0, start + score_from, lambda: rows))
    return Feed(slot, start, tokens, score_from, sampling)


def test_they_describe_the_same_target(engines):
    one, other = engines
    for name in ("name", "fingerprint", "tokenizer_fingerprint", "vocabulary", "dtype", "device"):
        assert getattr(one.description, name) == getattr(other.description, name)
    assert (one.context, one.token_bytes) == (CONTEXT, other.token_bytes)
    assert one.capacity >= one.context
    assert one.step > 0


def test_texts_that_grow_and_are_cut_back_have_the_same_scores(engines):
    one, other = engines
    chance = random.Random(1)
    ends = dict.fromkeys(range(4), 0)
    for _ in range(80):
        slot = chance.randrange(4)
        match chance.choice(["go on", "go on", "cut back", "begin", "trim", "copy"]):
            case "trim":
                ends[slot] = chance.randint(0, ends[slot])
                for engine in engines:
                    engine.trim(slot, ends[slot])
                continue
            case "copy" if ends[(slot + 1) % 4]:
                ends[slot] = chance.randint(1, ends[(slot + 1) % 4])
                for engine in engines:
                    engine.copy((slot + 1) % 4, slot, ends[slot])
                continue
            case "go on":
                start = min(ends[slot], CONTEXT - 1)
            case "cut back":
                start = chance.randint(0, max(ends[slot] - 1, 0))
            case _:
                start = 0
        feed = random_feed(chance, slot, start, one.description.vocabulary)
        ends[slot] = feed.end
        assert_same(asked(one, [feed])[0], other.forward([feed])[0])
    one.check_integrity()


def test_many_at_once_are_answered_as_each_alone(engines):
    one, other = engines
    chance = random.Random(2)
    feeds = [random_feed(chance, slot, 0, one.description.vocabulary) for slot in range(16)]
    for found, feed in zip(asked(one, feeds), feeds, strict=True):
        assert_same(found, other.forward([feed])[0])


def test_what_was_scored_once_is_scored_again(engines):
    one, _ = engines
    feed = Feed(9, 0, tuple(range(1, 65)), 3, Sampling(0.7, 0, 0.9, 5))
    first, again = asked(one, [feed])[0], asked(one, [feed])[0]
    assert_same(first, again)


def test_only_a_tenants_own_texts_shorten_its_reading(engines):
    one, _ = engines
    text = Feed(10, 0, tuple(range(2, 72)), 69, Sampling(0.0))
    asked(one, [text], "a")
    before = one.cached
    asked(one, [text], "b")
    assert one.cached == before
    asked(one, [text], "a")
    assert one.cached >= before + one.block


def test_a_feed_that_does_not_fit_is_refused_and_costs_nothing(engines):
    one, _ = engines
    for start, count in ((0, CONTEXT + 1), (20, 1)):
        with pytest.raises(ValueError, match=r"positions|slot"):
            asked(one, [Feed(11, start, tuple(range(count)), 0, Sampling(0.0))])
    assert len(asked(one, [Feed(11, 0, (1,), 0, Sampling(0.0))])) == 1


def test_texts_that_take_turns_in_a_small_cache_are_all_answered_as_by_the_other_engine():
    """Sixteen texts where six have room; some are thrown away while their answer is awaited."""
    from cloud_target.engine.load import load_engine
    from cloud_target.engine.vllm.load import load_vllm

    context, chance = 290, random.Random(4)
    one = load_vllm(EngineSettings("pocket", "cpu", "float32", 6 << 20, context, 1, VLLM))
    other = load_engine(EngineSettings("pocket", "cpu", "float32", 1 << 24, context, 1))
    texts: dict[int, list[int]] = {}
    waiting: dict[int, int] = {}
    asked: dict[int, tuple[list[int], Feed]] = {}
    answers: SimpleQueue = SimpleQueue()

    def held() -> int:
        return sum(-(-len(text) // one.block) for text in texts.values()) * one.block

    try:
        while len(asked) < 400 or waiting:
            slot = chance.randrange(16)
            if slot in waiting or len(waiting) == 8 or len(asked) == 400:
                number, found = answers.get(timeout=120)
                assert isinstance(found, Scores)
                text, feed = asked[number]
                again = other.forward([Feed(0, 0, tuple(text), feed.start, feed.sampling)])[0]
                assert found.own.tolist() == again.own.tolist()
                waiting = {slot: awaited for slot, awaited in waiting.items() if awaited != number}
                continue
            start = max(len(texts.get(slot, ())) - chance.choice([0, 0, 0, 1, 2, 5, 40]), 0)
            tokens = [chance.randrange(4000) for _ in range(min(chance.choice([1, 1, 3, 8, 60]), context - start))]
            if tokens:
                texts[slot] = texts.get(slot, [])[:start] + tokens
                while held() > one.capacity:
                    victim = chance.choice([held_by for held_by in texts if held_by != slot])
                    one.trim(victim)
                    waiting.pop(victim, None)
                    del texts[victim]
                feed = Feed(slot, start, tuple(tokens), 0, Sampling(0.7, 0, 0.9, 1))
                number = len(asked)
                asked[number], waiting[slot] = (texts[slot], feed), number
                one.start(feed, "", lambda found, number=number: answers.put((number, found)))
    finally:
        one.close()


def test_vllm_says_what_it_cannot_serve(tmp_path: Path):
    from cloud_target.engine.vllm.load import load_vllm

    with pytest.raises(InputError, match="nowhere"):
        load_vllm(EngineSettings(str(tmp_path / "nowhere"), engine=VLLM))
    with pytest.raises(InputError, match=r"does not take what stands behind -- .--no-such-option"):
        load_vllm(EngineSettings("pocket", engine=VLLM, vllm_options=("--no-such-option",)))
