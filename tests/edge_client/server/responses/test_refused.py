"""What a request to `/v1/responses` cannot have is refused by name, and whatever it is, never by a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.testing import random_script, scripted_bundle, scripted_edge
from edge_client.testing.tokenizer import byte_tokenizer
from tests.edge_client.server.serving import Served, served
from tests.edge_client.server.speaking import CALLING
from tests.edge_client.server.test_http import ask

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}
CALLED = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "a"}
TURN = {"role": "user", "content": "Hi"}


@pytest.fixture(scope="module")
def client() -> Iterator[Served]:
    bundle = scripted_bundle(random_script(byte_tokenizer().get_vocab_size()), context=2048, chat=CALLING)
    with scripted_edge(bundle=bundle, max_tokens=8, mode="local") as edge, served(edge) as client:
        yield client


REFUSED = [
    ({"input": None}, "input", None),
    ({"input": []}, "input", None),
    ({"input": 7}, "input", None),
    ({"input": [7]}, "input", None),
    ({"input": [{"role": "user"}]}, "input", None),
    ({"input": [{"role": "a robot!", "content": "x"}]}, "input", None),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input[0].content", None),
    ({"input": [TURN | {"name": "a"}]}, "input[0].name", "unknown_parameter"),
    ({"input": [{"type": "reasoning", "summary": []}]}, "input[0].type", "unsupported_parameter"),
    ({"input": [{"type": "item_reference", "id": "a"}]}, "input[0].type", "unsupported_parameter"),
    ({"input": [TURN, {"type": "function_call_output", "call_id": "a", "output": "x"}]}, "input", None),
    ({"input": [TURN, CALLED, {"type": "function_call_output", "call_id": "a"}]}, "input", None),
    ({"input": [TURN, CALLED | {"arguments": "x"}]}, "input", None),
    ({"input": [TURN, CALLED | {"call_id": None}]}, "input", None),
    ({"instructions": 7}, "instructions", None),
    ({"model": "gpt-4"}, "model", "model_not_found"),
    ({"max_output_tokens": 0}, "max_output_tokens", None),
    ({"temperature": 99}, "temperature", None),
    ({"top_logprobs": 2}, "top_logprobs", "unsupported_parameter"),
    ({"include": ["file_search_call.results"]}, "include", "unsupported_parameter"),
    ({"background": True}, "background", "unsupported_parameter"),
    ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
    ({"prompt": {"id": "a"}}, "prompt", "unsupported_parameter"),
    ({"truncation": "auto"}, "truncation", "unsupported_parameter"),
    ({"n": 2}, "n", "unsupported_parameter"),
    ({"store": "yes"}, "store", None),
    ({"messages": [TURN]}, "messages", "unknown_parameter"),
    ({"max_tokens": 3}, "max_tokens", "unknown_parameter"),
    ({"stream_options": {"include_usage": True}}, "stream_options.include_usage", "unknown_parameter"),
    ({"tools": [{"type": "web_search"}]}, "tools", None),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", None),
    ({"tools": [TOOL | {"parameters": {"type": "string"}}]}, "tools", None),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice", None),
    ({"tools": [TOOL], "tool_choice": "required", "text": {"format": {"type": "json_object"}}}, "text.format", None),
    ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format", None),
    ({"text": {"format": {"type": "json_schema", "schema": {"type": "objct"}}}}, "text.format", None),
    ({"text": {"form": 1}}, "text.form", "unknown_parameter"),
    ({"previous_response_id": 7}, "previous_response_id", None),
    ({"previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found"),
    ({"tandem": {"events": True}}, "tandem.events", None),
]


@pytest.mark.parametrize(("wrong", "param", "code"), REFUSED)
def test_what_cannot_be_done_is_refused_by_name(client, wrong, param, code):
    kind = openai.NotFoundError if code == "model_not_found" else openai.BadRequestError
    with pytest.raises(kind) as refusal:
        client.responses.create(model="scripted", extra_body={"input": "Hi"} | wrong)
    assert (refusal.value.param, refusal.value.code) == (param, code)
    assert len(refusal.value.body["message"]) > 20


def test_what_says_nothing_about_the_text_is_passed_over(client):
    said = {
        "metadata": {"a": "b"},
        "parallel_tool_calls": True,
        "max_tool_calls": 3,
        "reasoning": {"effort": "low"},
        "service_tier": "auto",
        "user": "me",
        "prompt_cache_key": "a",
        "safety_identifier": "a",
        "truncation": "disabled",
        "background": False,
        "top_logprobs": 0,
        "include": [],
        "stream_options": {"include_obfuscation": False},
        "text": {"verbosity": "low"},
    }
    texts = {
        client.responses.create(model="scripted", input="Hi", extra_body={"seed": 1, **more}).output_text
        for more in ({}, said)
    }
    assert len(texts) == 1


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 70), 1 << 70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
        st.sampled_from(
            ["user", "tool", "message", "function_call", "function_call_output", "auto", "\ud800", "{}", "a"]
        ),
    ),
    lambda parts: st.one_of(
        st.lists(parts, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    *("type", "role", "content", "name", "arguments", "call_id", "output", "text", "format", "schema"),
                    "a",
                ]
            ),
            parts,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
ITEMS = st.lists(
    st.one_of(st.just(TURN), st.builds(lambda more: TURN | more, st.dictionaries(st.sampled_from([*TURN]), JSON)), JSON)
    | st.builds(lambda more: CALLED | more, st.dictionaries(st.sampled_from([*CALLED]), JSON, max_size=1)),
    max_size=3,
)
TOOLS = st.lists(
    st.builds(lambda more: TOOL | more, st.dictionaries(st.sampled_from([*TOOL, "description"]), JSON, max_size=2)),
    max_size=2,
)
FIELDS = {
    "input": ITEMS | JSON,
    "tools": TOOLS | JSON,
    "tool_choice": st.sampled_from(["auto", "required", {"type": "function", "name": "f"}]) | JSON,
    "text": st.fixed_dictionaries({"format": JSON}) | JSON,
    **{
        name: JSON
        for name in (
            *("instructions", "previous_response_id", "max_output_tokens", "include", "store", "stream", "metadata"),
            *("truncation", "tandem", "stop", "temperature", "top_p", "stream_options", "reasoning", "seed", "a"),
        )
    },
}


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(body=st.fixed_dictionaries({}, optional=FIELDS))
def test_whatever_the_body_it_is_answered_or_refused(client, body: dict[str, Any]):
    whole = {"model": "scripted", "input": "Hi", "max_output_tokens": 3} | body
    status, _, said = ask(client, "POST", "/v1/responses", json.dumps(whole))
    assert status in (200, 400), said
    assert "response.failed" not in said
    if status == 400:
        assert json.loads(said)["error"]["message"]


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    turns=st.lists(
        st.just(TURN) | st.builds(lambda more: TURN | more, JSON.filter(lambda one: isinstance(one, dict))), max_size=3
    ),
    tools=TOOLS,
)
def test_the_same_of_a_chat(client, turns, tools):
    nested = [
        {"type": "function", "function": {name: part for name, part in tool.items() if name != "type"}}
        for tool in tools
    ]
    body = {"model": "scripted", "messages": [TURN, *turns], "tools": nested, "max_tokens": 3}
    status, _, said = ask(client, "POST", "/v1/chat/completions", json.dumps(body))
    assert status in (200, 400), said
