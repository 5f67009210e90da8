"""What vLLM's workers answer: a feed's scores, however the text was read, beside whatever else is read."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_target.engine.interface import Feed, Masks, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.engine.vllm.plugin import going_on, looking_up
from cloud_target.engine.vllm.travelling import NAME, packed
from shared.config import Coupling, Sampling
from tests.cloud_target.engine.vllm.runner import FirstRunner, SecondRunner, outputs, scores

__all__ = ["outputs"]
RUNNERS = pytest.mark.parametrize("runner_of", [FirstRunner, SecondRunner])
VOCABULARY, CONTEXT = 50, 64
SCRIPT = random_script(VOCABULARY, 5)


def assert_same(one: Scores, other: Scores) -> None:
    assert one.guesses == other.guesses
    for name in ("own", "own_unlikely"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    for name in ("off_strict", "unlikely"):
        assert getattr(one.given, name).tolist() == getattr(other.given, name).tolist()
    assert np.allclose(one.own_nll, other.own_nll, atol=1e-5)
    assert np.allclose(one.given.nll, other.given.nll, atol=1e-5)


def by_the_rules(text: list[int], feed: Feed) -> Scores:
    """As the scripted engine reads them, one row at a time."""
    engine = ScriptedEngine(SCRIPT, VOCABULARY, 2, CONTEXT)
    if feed.start:
        engine.forward([Feed(0, 0, tuple(text[: feed.start]), feed.start - 1, Sampling(0.0))])
    [found] = engine.forward([feed])
    assert isinstance(found, Scores)
    return found


ids = st.integers(0, VOCABULARY - 1)


@st.composite
def feeds(draw) -> tuple[list[int], Feed]:
    """A text, and a feed that ends it."""
    text = draw(st.lists(ids, min_size=1, max_size=20))
    start = draw(st.integers(0, len(text) - 1))
    count = len(text) - start
    score_from = draw(st.integers(0, count - 1))
    sampling = Sampling(
        draw(st.sampled_from([0.0, 0.7, 1.0])),
        draw(st.sampled_from([0, 5])),
        draw(st.sampled_from([0.8, 1.0])),
        draw(st.sampled_from([3, 2**64 - 1])),
    )
    masks = None
    if draw(st.booleans()):
        allowed = np.random.default_rng(draw(ids)).integers(0, 256, (count - score_from, -(-VOCABULARY // 8)))
        masks = Masks("grammar", start + score_from, lambda: allowed.astype(np.uint8) | 1)
    kind = draw(st.sampled_from(["plain", "guesses", "residual"]))
    most = count - 1 - score_from
    if kind == "residual":
        judged = draw(st.integers(0, most))
        q = tuple((np.array([x, (x + 1) % VOCABULARY]), np.array([0.75, 0.25])) for x in text[len(text) - judged :])
        coupling = Coupling.RESIDUAL
        return text, Feed(
            0, start, tuple(text[start:]), score_from, sampling, coupling, q if judged else (), masks=masks
        )
    spare = draw(st.integers(0, most)) if kind == "guesses" else 0
    return text, Feed(0, start, tuple(text[start:]), score_from, sampling, spare=spare, masks=masks)


@RUNNERS
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_scores_are_those_of_the_rules_however_texts_are_read(data, outputs, runner_of):
    runner = runner_of(SCRIPT, VOCABULARY)
    asked = {str(i): data.draw(feeds()) for i in range(data.draw(st.integers(1, 4)))}
    for name, (text, feed) in asked.items():
        runner.ask(name, text, feed, cached=data.draw(st.integers(0, feed.start + feed.score_from)))
    found = {}
    while len(found) < len(asked):
        left = {name: len(asked[name][0]) - runner.read[name] for name in asked if name not in found}
        some = data.draw(st.lists(st.sampled_from(sorted(left)), min_size=1, unique=True))
        # Behind the end of a text vLLM may try guesses of its own.
        found |= runner.step({name: data.draw(st.integers(1, left[name] + 3)) for name in some})
    for name, (text, feed) in asked.items():
        assert_same(scores(feed, found[name]), by_the_rules(text, feed))


@RUNNERS
def test_others_requests_are_answered_by_vllm(outputs, runner_of):
    runner = runner_of(SCRIPT, VOCABULARY)
    feed = Feed(0, 0, (1, 2, 3), 0, Sampling(0.0))
    runner.ask("a", [1, 2, 3], feed)
    runner.ask("b", [4, 5], None)
    found = runner.step({"a": 2, "b": 2})
    assert found == {"b": "theirs"}
    assert runner.passed_on == [["b"]]
    assert_same(scores(feed, runner.step({"a": 1})["a"]), by_the_rules([1, 2, 3], feed))


@RUNNERS
def test_whoever_gave_way_is_read_anew(outputs, runner_of):
    runner = runner_of(SCRIPT, VOCABULARY)
    text = [*range(10)]
    feed = Feed(0, 0, tuple(text), 2, Sampling(0.7, 0, 0.9, 1))
    runner.ask("a", text, feed)
    runner.step({"a": 6})
    runner.give_way("a")
    runner.ask("b", text, None)
    runner.step({"b": 10})
    assert_same(scores(feed, runner.step({"a": 10})["a"]), by_the_rules(text, feed))


@pytest.mark.parametrize("score_from", [0, 3])
def test_a_cache_is_read_up_to_the_first_scored_row(score_from):
    feed = Feed(0, 5, (1, 2, 3, 4, 5), score_from, Sampling(0.0))
    ends = []
    lookup = looking_up(lambda _, request: ends.append((request.num_tokens, request.name)))
    parameters = SimpleNamespace(extra_args={NAME: packed(feed, VOCABULARY)})
    lookup(None, SimpleNamespace(sampling_params=parameters, num_tokens=10, name="ours"))
    lookup(None, SimpleNamespace(sampling_params=SimpleNamespace(extra_args=None), num_tokens=10, name="theirs"))
    lookup(None, SimpleNamespace(sampling_params=None, num_tokens=10, name="pooled"))
    # vLLM never finds the last token of what it looks up.
    assert ends == [(5 + score_from + 1, "ours"), (10, "theirs"), (10, "pooled")]


def test_an_open_request_goes_on_where_its_feed_begins():
    taken = []
    update = going_on(lambda _, session, __: taken.append((session.num_computed_tokens, [*session.prompt_token_ids])))
    feed = Feed(0, 5, (1, 2), 0, Sampling(0.0))
    ours = SimpleNamespace(sampling_params=SimpleNamespace(extra_args={NAME: packed(feed, VOCABULARY)}))
    theirs = SimpleNamespace(sampling_params=SimpleNamespace(extra_args=None))
    for changed in (ours, theirs):
        update(None, SimpleNamespace(num_computed_tokens=7, prompt_token_ids=[*range(7)]), changed)
    assert taken == [(5, [*range(5)]), (7, [*range(7)])]
    with pytest.raises(ValueError, match="4 tokens cannot go on at 5"):
        update(None, SimpleNamespace(num_computed_tokens=4, prompt_token_ids=[*range(4)]), ours)
