"""What the engine asks of vLLM and makes of its answers, with a client that a test answers for."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from queue import Queue
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cloud_target.engine.apart.messages import Features
from cloud_target.engine.interface import Adapter, Description, Feed
from cloud_target.engine.vllm import asking
from cloud_target.engine.vllm.engine import VllmEngine
from cloud_target.engine.vllm.travelling import NAME, Answers
from shared.config import Sampling
from shared.errors import InputError, TargetError

FEATURES = Features(Description("m", "f", "t", 50, "float32"), 64, 640, 32, 8, 16, 0.01, False, None)
FEED = Feed(3, 0, (1, 2, 3), 1, Sampling(0.0))


class Client:
    """vLLM's, whose outputs come from a queue; an error among them is raised."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.ended: list[str] = []
        self.outputs: Queue[Any] = Queue()
        self.resources = SimpleNamespace(engine_dead=False)
        self.ctx = SimpleNamespace(destroy=lambda linger: None)
        self.refuses = False

    def add_request(self, request: Any) -> None:
        if self.refuses:
            raise RuntimeError("dead")
        self.asked.append(request)

    def abort_requests(self, names: list[str]) -> None:
        self.ended += names

    def get_output(self) -> Any:
        output = self.outputs.get()
        if isinstance(output, Exception):
            raise output
        return SimpleNamespace(outputs=[output])

    def shutdown(self) -> None:
        self.outputs.put(RuntimeError("closed"))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """Of a vLLM of which only names are there."""
    for module, name in (("vllm.sampling_params", "SamplingParams"), ("vllm.v1.engine", "EngineCoreRequest")):
        there = ModuleType(module)
        setattr(there, name, lambda *values, **named: SimpleNamespace(values=values, **named))
        monkeypatch.setitem(sys.modules, module, there)
    return Client()


def output(request: Any, finish_reason: str = "length", **fields: Any) -> SimpleNamespace:
    return SimpleNamespace(request_id=request.values[0], finish_reason=finish_reason, **fields)


def tensors(answers: Answers) -> SimpleNamespace:
    return SimpleNamespace(logprob_token_ids=torch.from_numpy(answers.ids), logprobs=torch.from_numpy(answers.nll))


def answered(nll: float = 0.5) -> Answers:
    answers = Answers(2, 0)
    answers.ids[:] = [[7, 1], [8, 4]]
    answers.nll[:] = nll
    return answers


def test_a_feed_is_a_request_about_the_whole_text_and_its_answer_are_scores(client):
    engine, found = VllmEngine(FEATURES, client, 4), Queue()
    engine.start(FEED, "acme", found.put)
    stats = SimpleNamespace(num_cached_tokens=32)
    client.outputs.put(output(client.asked[0], new_prompt_logprobs_tensors=tensors(answered()), prefill_stats=stats))
    scores = found.get(timeout=10)
    assert (scores.own.tolist(), scores.own_unlikely.tolist()) == ([7, 8], [False, True])
    assert (scores.given.off_strict.tolist(), scores.given.nll.tolist()) == ([True], [0.5])
    assert engine.cached == 32
    assert client.asked[0].values[3].extra_args[NAME]["first"] == 1
    engine.close()


def ask(engine: VllmEngine, client: Client, feed: Feed, finish_reason: str = "length") -> Any:
    """A feed, and its answer; returns the request."""
    found: Queue[Any] = Queue()
    engine.start(feed, "acme", found.put)
    given = tensors(Answers(len(feed.tokens) - feed.score_from, 0))
    request = client.asked[-1]
    client.outputs.put(output(request, finish_reason, new_prompt_logprobs_tensors=given, prefill_stats=None))
    found.get(timeout=10)
    return request


def test_a_text_that_grows_is_one_request_and_is_not_sent_again(client):
    engine = VllmEngine(FEATURES, client, 4, goes_back=True)
    first = ask(engine, client, FEED)
    second = ask(engine, client, Feed(3, 3, (4, 5), 0, Sampling(0.0)))
    back = ask(engine, client, Feed(3, 4, (6,), 0, Sampling(0.0)))
    assert [request.values[1] for request in (first, second, back)] == [[1, 2, 3], [4, 5], [6]]
    assert {request.values[0] for request in (first, second, back)} == {first.values[0]}
    assert back.values[3].extra_args[NAME]["begin"] == 4
    assert all(request.resumable for request in client.asked)
    # What vLLM has let go of by itself begins again, with all of its text.
    gone = ask(engine, client, Feed(3, 5, (7,), 0, Sampling(0.0)), "error")
    again = ask(engine, client, Feed(3, 6, (8,), 0, Sampling(0.0)))
    assert again.values[0] != gone.values[0]
    assert again.values[1] == [1, 2, 3, 4, 6, 7, 8]
    assert client.ended == []
    engine.trim(3)
    assert client.ended == [again.values[0]]
    engine.close()


def test_a_request_that_was_left_while_it_was_busy_is_let_go_with_its_answer(client):
    engine, found = VllmEngine(FEATURES, client, 4), Queue()
    engine.start(FEED, "acme", found.put)
    engine.trim(FEED.slot)
    assert client.ended == []
    client.outputs.put(output(client.asked[0], new_prompt_logprobs_tensors=tensors(answered()), prefill_stats=None))
    found.get(timeout=10)
    assert client.ended == [client.asked[0].values[0]]
    engine.close()


def test_a_place_that_becomes_another_text_leaves_its_request(client):
    engine = VllmEngine(FEATURES, client, 4)
    one = ask(engine, client, FEED)
    ask(engine, client, Feed(5, 0, (7, 8, 9), 0, Sampling(0.0)))
    engine.copy(5, 3, 2)
    assert client.ended == [one.values[0]]
    assert ask(engine, client, Feed(3, 2, (6,), 0, Sampling(0.0))).values[1] == [7, 8, 6]
    engine.close()


@pytest.mark.parametrize(("shares", "same"), [(True, [True, False]), (False, [False, False])])
def test_what_is_shared_is_shared_within_a_tenant_only(client, shares, same):
    engine = VllmEngine(FEATURES, client, 4, shares)
    for slot, tenant in ((1, "a"), (2, "a"), (3, "b")):
        engine.start(Feed(slot, 0, (1,), 0, Sampling(0.0)), tenant, lambda _: None)
    salts = [request.values[7] for request in client.asked]
    assert [salt == salts[0] for salt in salts[1:]] == same
    engine.close()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (None, TargetError),
        (tensors(Answers(2, 0)), RuntimeError),  # of which nothing was scored
        (tensors(Answers(1, 0)), RuntimeError),
        (tensors(answered(np.inf)), TargetError),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_its_feed(client, given, error):
    engine, found = VllmEngine(FEATURES, client, 4), Queue()
    engine.start(FEED, "", found.put)
    client.outputs.put(output(client.asked[0], new_prompt_logprobs_tensors=given, prefill_stats=None))
    assert isinstance(found.get(timeout=10), error)
    assert engine.is_there
    engine.close()


@pytest.mark.parametrize("how", ["refuses", "fails", "is dead"])
def test_where_vllm_is_gone_everyone_hears_it_once(client, how):
    engine, found = VllmEngine(FEATURES, client, 4), []
    engine.start(FEED, "", found.append)
    if how == "refuses":
        client.refuses = True
        engine.start(FEED, "", found.append)
    elif how == "fails":
        client.outputs.put(RuntimeError("dead"))
        ends = time.monotonic() + 10
        while engine.is_there and time.monotonic() < ends:
            time.sleep(0.01)
    else:
        client.resources.engine_dead = True
    assert not engine.is_there
    assert [type(one) for one in found] == [RuntimeError] * (2 if how == "refuses" else 1)
    with pytest.raises(RuntimeError, match="gone"):
        engine.start(FEED, "", found.append)
    engine.close()


def test_a_feed_carries_what_vllm_knows_its_adapter_by_and_goes_on_with_no_request_of_another(client):
    known = replace(FEATURES.description, adapters=(Adapter("poet", "g"),))
    features = Features(**vars(FEATURES) | {"description": known})
    engine = VllmEngine(features, client, 4, goes_back=True, adapters={"poet": "request of poet"})
    asked = [ask(engine, client, replace(FEED, adapter=adapter)) for adapter in ("", "poet", "poet", "")]
    assert [request.values[6] for request in asked] == [None, "request of poet", "request of poet", None]
    names = [request.values[0] for request in asked]
    assert names[1] == names[2]
    assert len(set(names)) == 3
    with pytest.raises(ValueError, match="no adapter pirate"):
        engine.start(replace(FEED, adapter="pirate"), "", lambda _: None)
    engine.close()


@pytest.mark.parametrize(
    ("error", "adapter", "sentence"),
    [
        (TargetError("it gave no numbers"), "", "it gave no numbers$"),
        (TargetError("it gave no numbers"), "poet", "with the adapter poet, it gave no numbers$"),
        (RuntimeError("another form"), "poet", "this vLLM does not answer as Tandem's plug-in does .another form"),
    ],
)
def test_at_the_start_it_is_told_whose_fault_it_is(error, adapter, sentence):
    engine = SimpleNamespace(is_there=True, start=lambda feed, tenant, done: done(error))
    with pytest.raises(InputError, match=f"^{sentence}"):
        asking.ask(engine, [replace(FEED, adapter=adapter)])


def test_texts_are_cut_and_copied(client):
    engine = VllmEngine(FEATURES, client, 4)
    engine.start(FEED, "", lambda _: None)
    engine.copy(3, 4, 2)
    engine.trim(3, 1)
    with pytest.raises(ValueError, match="slot 3 holds 1 tokens"):
        engine.start(Feed(3, 2, (5,), 0, Sampling(0.0)), "", lambda _: None)
    engine.start(Feed(4, 2, (5,), 0, Sampling(0.0)), "", lambda _: None)
    assert client.asked[-1].values[1] == [1, 2, 5]
    with pytest.raises(ValueError, match="slot 9 holds 0 tokens"):
        engine.copy(9, 1, 1)
    engine.trim(4)
    engine.check_integrity()
    engine.close()
