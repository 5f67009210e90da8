"""The official openai package against the local server: what it gets is what the edge itself writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from threading import Event

import openai
import pytest

from edge_client.edge import Edge
from edge_client.testing import LoopbackTransport, ScriptedTarget, random_script, scripted_bundle, scripted_edge
from edge_client.testing.scripts import blurred
from edge_client.testing.tokenizer import byte_tokenizer
from shared.errors import LinkBroken, TargetUnavailable
from tests.edge_client.late import LateTransport
from tests.edge_client.server.serving import Served, served
from tests.edge_client.server.test_http import ask

TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A table for two?"}]
MODES = ("sprint", "exact", "local", "cloud", "auto")


@pytest.fixture
def edge() -> Iterator[Edge]:
    with scripted_edge(max_tokens=24) as edge:
        yield edge


@pytest.fixture
def client(edge: Edge) -> Iterator[Served]:
    with served(edge) as client:
        yield client


@pytest.mark.parametrize("mode", MODES)
def test_a_completion_is_what_the_edge_writes(client, mode):
    with scripted_edge(max_tokens=24) as alone:
        wanted = alone.generate("Once", mode=mode, seed=5)
    got = client.completions.create(model="scripted", prompt="Once", seed=5, extra_body={"tandem": {"mode": mode}})
    assert got.choices[0].text == wanted.text
    assert got.usage.prompt_tokens == wanted.prompt_tokens
    assert got.usage.completion_tokens == len(wanted.token_ids)
    assert got.usage.total_tokens == wanted.prompt_tokens + len(wanted.token_ids)
    assert got.object == "text_completion"
    assert got.model == "scripted"


@pytest.mark.parametrize("mode", MODES)
def test_a_chat_is_what_the_edge_writes(client, mode):
    with scripted_edge() as alone:
        wanted = alone.chat(TURNS, mode=mode, seed=5, max_tokens=40)
    got = client.chat.completions.create(model=f"scripted:{mode}", messages=TURNS, seed=5, max_completion_tokens=40)
    assert got.choices[0].message.content == wanted.text
    assert got.choices[0].message.role == "assistant"
    assert got.usage.completion_tokens == len(wanted.token_ids)


@contextmanager
def fresh() -> Iterator[Served]:
    """A server that has learned nothing yet: what audits teach changes the next text."""
    with scripted_edge(max_tokens=24) as edge, served(edge) as client:
        yield client


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_says_the_same_as_the_whole(mode):
    body = {"model": f"scripted:{mode}", "seed": 7, "max_tokens": 40, "stream": True}
    with fresh() as client:
        whole = client.completions.create(prompt="Once", **body | {"stream": False})
    with fresh() as client:
        chunks = list(client.completions.create(prompt="Once", **body))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == whole.choices[0].finish_reason
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(chunks) > 1 or mode == "local"

    with fresh() as client:
        chat = client.chat.completions.create(messages=TURNS, **body | {"stream": False})
    with fresh() as client:
        chunks = list(client.chat.completions.create(messages=TURNS, stream_options={"include_usage": True}, **body))
    *said, figures = chunks
    assert said[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in said) == chat.choices[0].message.content
    assert figures.choices == []
    assert figures.usage.completion_tokens == chat.usage.completion_tokens
    assert all(chunk.usage is None for chunk in said)


def test_seeds(client):
    def write(**options: object) -> str:
        return client.completions.create(model="scripted:exact", prompt="Once", **options).choices[0].text

    assert write(seed=1) == write(seed=1) != write(seed=2)
    assert write(seed=-1) == write(seed=(1 << 64) - 1), "seeds are taken by their 64 bits"
    assert len({write() for _ in range(4)}) == 4, "without a seed each text has one of its own"


def test_the_seed_that_was_taken_is_told(edge, client):
    got = client.completions.create(model="scripted:exact", prompt="Once", n=2)
    for choice, report in zip(got.choices, got.usage.tandem, strict=True):
        assert choice.text == edge.generate("Once", mode="exact", seed=report["seed"]).text


def test_several_choices_of_several_prompts(edge, client):
    got = client.completions.create(model="scripted:exact", prompt=["Once", "Twice"], n=2, seed=3)
    wanted = [edge.generate(prompt, mode="exact", seed=seed) for prompt in ("Once", "Twice") for seed in (3, 4)]
    assert [choice.text for choice in got.choices] == [completion.text for completion in wanted]
    assert [choice.index for choice in got.choices] == [0, 1, 2, 3]
    assert got.usage.prompt_tokens == wanted[0].prompt_tokens + wanted[2].prompt_tokens
    assert got.usage.completion_tokens == sum(len(completion.token_ids) for completion in wanted)

    texts = [""] * 4
    for chunk in client.completions.create(model="scripted:exact", prompt=["Once", "Twice"], n=2, seed=3, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == [completion.text for completion in wanted]


def test_prompts_of_token_ids(edge, client):
    ids = edge.bundle.encode("Once")
    got = client.completions.create(
        model="scripted", prompt=[ids, ids], seed=1, extra_body={"tandem": {"mode": "exact"}}
    )
    wanted = edge.generate(ids, mode="exact", seed=1).text
    assert [choice.text for choice in got.choices] == [wanted, wanted], "the same seed for every prompt"


def test_a_stop_string_ends_the_text(client):
    def write(stop: object) -> openai.types.CompletionChoice:
        return client.completions.create(model="scripted:exact", prompt="Once", seed=1, stop=stop).choices[0]

    whole = write(None).text
    for stop in (whole[5:8], ["nowhere to be found", whole[5:8]]):
        cut = write(stop)
        assert cut.text == whole[: whole.index(whole[5:8])]
        assert cut.finish_reason == "stop"


def test_contents_in_parts_and_other_names_of_roles(client):
    def write(turns: object) -> str:
        got = client.chat.completions.create(model="scripted:exact", messages=turns, seed=1, max_tokens=12)
        return got.choices[0].message.content

    parts = [{"type": "text", "text": "A table "}, {"type": "text", "text": "for two?"}]
    assert write(TURNS) == write([TURNS[0] | {"role": "developer"}, TURNS[1] | {"content": parts}])


def test_a_chat_without_a_length_goes_on_until_the_context_is_full(edge, client):
    got = client.chat.completions.create(model="scripted:local", messages=TURNS, seed=1)
    room = edge.bundle.manifest.context - got.usage.prompt_tokens
    assert got.choices[0].finish_reason == "stop" or got.usage.completion_tokens == room
    assert got.usage.tandem[0]["warnings"] == []


@pytest.mark.parametrize("mode", MODES)
def test_log_probabilities_are_the_targets_own_or_null(client, mode):
    with scripted_edge(max_tokens=24) as alone:
        wanted = alone.generate("Once", mode=mode, seed=5)
    expected = [None if nll is None else -nll for nll in wanted.nll]
    assert (None in expected) == (mode == "local"), "all that the target sees is audited in the end"
    body = {"model": f"scripted:{mode}", "seed": 5, "max_tokens": 24}
    got = client.completions.create(prompt="Once", logprobs=0, **body).choices[0].logprobs
    assert got.token_logprobs == expected
    assert "".join(got.tokens) == wanted.text
    places = zip(got.text_offset, got.tokens, strict=True)
    assert all(wanted.text[offset : offset + len(token)] == token for offset, token in places)
    with fresh() as again:
        chunks = list(again.completions.create(prompt="Once", logprobs=0, stream=True, **body))
    told = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
    assert [logprob for part in told for logprob in part.token_logprobs] == expected
    chat = client.chat.completions.create(messages=TURNS, logprobs=True, **body).choices[0]
    assert b"".join(bytes(token.bytes) for token in chat.logprobs.content).decode() == chat.message.content
    assert all((token.logprob is None) == (mode == "local") for token in chat.logprobs.content)


def test_what_went_on_is_told(edge, client):
    asked = {"mode": "sprint", "budget": 0.2, "criterion": "strict", "origins": True}
    got = client.completions.create(model="scripted", prompt="Once", seed=5, extra_body={"tandem": asked})
    (report,) = got.usage.tandem
    assert report["mode"] == "sprint"
    assert len(report["written"]) == got.usage.completion_tokens == report["tokens"]
    assert "".join(token["text"] for token in report["written"]) == got.choices[0].text
    assert [token["origin"] for token in report["written"]].count("accepted") == report["accepted"]
    assert report["accepted"] + report["confirmed"] + report["target"] == report["tokens"]
    assert report["calls"] > 0
    assert report["bytes_up"] > 0
    assert report["total_ms"] > 0
    assert {"asked", "drafted", "off_strict", "off_typical", "draft_ms", "network_ms"} <= report.keys()
    plain = client.completions.create(model="scripted", prompt="Once").usage.tandem[0]
    assert "written" not in plain


@pytest.mark.parametrize("mode", MODES)
def test_events_tell_of_what_is_not_judged_yet(mode):
    asked = {"mode": mode, "events": True, "origins": True, "criterion": "strict", "budget": 0.05}
    body = {"model": "scripted", "seed": 5, "max_tokens": 60, "stream": True, "stream_options": {"include_usage": True}}
    bundle = scripted_bundle(blurred(target := random_script(byte_tokenizer().get_vocab_size()), 0.5))
    late = LateTransport(LoopbackTransport(ScriptedTarget.of(bundle.manifest, target)), cycle([False, False, True]))
    with scripted_edge(bundle=bundle, transport=late) as edge, served(edge) as client:
        *chunks, figures = client.completions.create(prompt="Once", extra_body={"tandem": asked}, **body)
    events = [
        event for chunk in chunks for event in (getattr(chunk.choices[0], "tandem", None) or {}).get("events", [])
    ]
    settled, provisional = [], []
    for event in events:
        match event["type"]:
            case "token":
                assert not provisional or provisional.pop(0) == event["id"]
                settled.append({"id": event["id"], "text": event["text"], "origin": event["origin"]})
            case "provisional":
                provisional.append(event["id"])
            case "retract":
                del provisional[len(provisional) - event["tokens"] :]
    assert provisional == []
    (report,) = figures.usage.tandem
    assert settled == [{name: token[name] for name in ("id", "text", "origin")} for token in report["written"]]
    assert "".join(chunk.choices[0].text for chunk in chunks) == "".join(token["text"] for token in settled)
    assert (mode == "exact") <= any(event["type"] == "provisional" for event in events)


def test_the_next_turn_of_a_chat_is_read_only_where_it_is_new():
    with scripted_edge(max_tokens=24, conversations=2) as edge, served(edge) as client:
        body = {"model": "scripted:exact", "seed": 1, "max_tokens": 24}
        first = client.chat.completions.create(messages=TURNS, **body)
        turns = [*TURNS, {"role": "assistant", "content": first.choices[0].message.content}]
        client.chat.completions.create(messages=[{"role": "user", "content": "Something else"}], **body)
        second = client.chat.completions.create(messages=[*turns, {"role": "user", "content": "And then?"}], **body)
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    assert second.usage.prompt_tokens_details.cached_tokens >= first.usage.prompt_tokens - 1


def test_what_was_read_of_a_prompt_before_is_no_more_than_the_prompt():
    with scripted_edge(max_tokens=6, conversations=8) as edge, served(edge) as client:
        for _ in range(2):
            got = client.completions.create(
                model="scripted:cloud", prompt="Once upon a time there was a girl", n=4, seed=1
            )
        assert 0 < got.usage.prompt_tokens_details.cached_tokens <= got.usage.prompt_tokens


def test_streams_at_once_are_each_what_they_are_alone(edge, client):
    seeds = range(8)
    wanted = [edge.generate("Once", mode="exact", seed=seed, max_tokens=60).text for seed in seeds]

    def write(seed: int) -> str:
        chunks = client.completions.create(model="scripted:exact", prompt="Once", seed=seed, max_tokens=60, stream=True)
        return "".join(chunk.choices[0].text for chunk in chunks)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(write, seeds)) == wanted


def test_who_leaves_ends_the_work_and_frees_the_session():
    """The draft writes so slowly that the text would take minutes."""
    bundle = scripted_bundle(blurred(target := random_script(byte_tokenizer().get_vocab_size()), 0.5))
    transport = LoopbackTransport(ScriptedTarget.of(bundle.manifest, target))
    with scripted_edge(bundle=bundle, transport=transport, temperature=1.0) as edge, served(edge, texts=1) as client:
        for path in ("completions", "chat"):
            said = {"prompt": "Once"} if path == "completions" else {"messages": TURNS}
            resource = client.completions if path == "completions" else client.chat.completions
            with resource.create(model="scripted:cloud", max_tokens=4000, stream=True, **said) as stream:
                next(iter(stream))
            client.wait_until_idle()
        assert len(transport.released) == 2
        text = client.completions.create(model="scripted:cloud", prompt="Once", max_tokens=3, seed=1)
        assert text.usage.completion_tokens == 3, "the only thread is free again"
        said = ask(client, "GET", "/metrics")[2]
        written = [line for line in said.splitlines() if line.startswith('tandem_edge_tokens_total{origin="target"}')]
        assert float(written[0].split()[1]) >= 2 + 3, "also what was written for those who left"


def test_too_many_are_sent_away():
    gate, inner = Event(), random_script(byte_tokenizer().get_vocab_size())

    def slow(text: tuple[int, ...]) -> object:
        assert gate.wait(30)
        return inner(text)

    with (
        scripted_edge(slow, inner) as edge,
        served(edge, texts=1, waiting=1) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        body = {"model": "scripted:cloud", "prompt": "Once", "max_tokens": 5}
        with pytest.raises(openai.BadRequestError, match="ask for fewer"):
            client.completions.create(n=3, **body)
        both = threads.submit(client.completions.create, n=2, **body)
        while client.server.under_way < 2:
            assert not both.done()
        with pytest.raises(openai.RateLimitError) as caught:
            client.completions.create(**body)
        assert caught.value.response.headers["Retry-After"] == "1"
        gate.set()
        assert len(both.result(30).choices) == 2


def test_an_error_in_the_middle_ends_all_texts_of_a_request(monkeypatch):
    """With one thread they come one after the other; most of those behind are not even begun."""
    begun, stream = [], Edge.stream
    monkeypatch.setattr(Edge, "stream", lambda edge, ids, **options: begun.append(ids) or stream(edge, ids, **options))
    with scripted_edge(max_tokens=20) as edge, served(edge, texts=1) as client:
        prompts = [[40, 41], [40] * (edge.bundle.manifest.context + 1), *[[42, 43]] * 14]
        chunks = client.completions.create(model="scripted:local", prompt=prompts, n=2, stream=True)
        said = []
        with pytest.raises(openai.APIError, match="context") as caught:
            said.extend(chunk.choices[0] for chunk in chunks)
        assert caught.value.code == "context_length_exceeded"
        client.wait_until_idle()
        assert begun.count([42, 43]) < 28


def test_and_does_so_also_for_a_client_that_reads_to_the_end(monkeypatch):
    begun, stream = [], Edge.stream
    monkeypatch.setattr(Edge, "stream", lambda edge, ids, **options: begun.append(ids) or stream(edge, ids, **options))
    with scripted_edge(max_tokens=20) as edge, served(edge, texts=1) as client:
        prompts = [[40, 41], [40] * (edge.bundle.manifest.context + 1), *[[42, 43]] * 14]
        body = {"model": "scripted:local", "prompt": prompts, "n": 2, "stream": True}
        status, _, said = ask(client, "POST", "/v1/completions", json.dumps(body))
        client.wait_until_idle()
    assert (status, said.endswith("[DONE]\n\n")) == (200, False)
    assert len(begun) < 32


class _Away(LoopbackTransport):
    """A target that cannot be reached, or says so."""

    def describe(self, timeout):
        error = TargetUnavailable("cannot reach the target")
        error.request_id = "5f0c"
        raise error


def test_a_target_out_of_reach(edge):
    with scripted_edge(transport=_Away(edge._connection._transport.service)) as away, served(away) as client:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as caught:
                client.completions.create(model="scripted", prompt="Once", stream=stream)
            assert caught.value.status_code == 503
            assert caught.value.code == "target_unavailable"
            assert caught.value.request_id == "5f0c"
        assert client.completions.create(model="scripted:local", prompt="Once", max_tokens=3).choices[0].text


class _Gone(LoopbackTransport):
    """The link to it is broken."""

    def describe(self, timeout):
        raise LinkBroken("connection refused")


def test_while_the_target_is_away_the_device_writes_alone_unless_the_text_must_be_the_targets(edge):
    with scripted_edge(transport=_Gone(edge._connection._transport.service)) as away, served(away) as client:
        got = client.completions.create(
            model="scripted", prompt="Once", seed=1, max_tokens=9, extra_body={"tandem": {"origins": True}}
        )
        (report,) = got.usage.tandem
        assert report["alone"] == report["tokens"] == got.usage.completion_tokens
        assert {token["origin"] for token in report["written"]} == {"alone"}
        assert any("the draft writes this text alone" in warning for warning in report["warnings"])
        for tandem in ({"require": "exact"}, {"on_outage": "fail"}):
            with pytest.raises(openai.InternalServerError) as caught:
                client.completions.create(model="scripted", prompt="Once", extra_body={"tandem": tandem})
            assert (caught.value.status_code, caught.value.code) == (503, "target_unavailable")


def test_models_are_listed(client):
    assert {model.id for model in client.models.list()} == {"scripted", *(f"scripted:{mode}" for mode in MODES)}
    assert client.models.retrieve("scripted:exact").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_alone_there_is_only_local():
    with Edge(bundle=scripted_bundle(random_script(byte_tokenizer().get_vocab_size()))) as edge, served(edge) as client:
        assert {model.id for model in client.models.list()} == {"scripted", "scripted:local"}
        text = client.completions.create(model="scripted", prompt="Once", seed=1, max_tokens=5)
        assert text.usage.tandem[0]["mode"] == "local"
        assert text.usage.tandem[0]["calls"] == 0
        with pytest.raises(openai.BadRequestError):
            client.completions.create(model="scripted", prompt="Once", extra_body={"tandem": {"mode": "exact"}})


def test_answers_are_json_that_any_client_reads(client):
    raw = client.chat.completions.with_raw_response.create(
        model="scripted", messages=TURNS, max_tokens=5, logprobs=True
    )
    assert json.loads(raw.text)["choices"][0]["message"]["content"] is not None
    assert raw.headers["content-type"] == "application/json"
