"""Answers with a form: `response_format` and functions that must be called, as the official openai package asks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest
from pydantic import BaseModel

from edge_client.edge import Edge
from edge_client.testing import LoopbackTransport, ScriptedTarget, random_script, scripted_bundle, scripted_edge
from edge_client.testing.scripts import blurred
from edge_client.testing.tokenizer import byte_tokenizer
from tests.edge_client.server.serving import Served, served
from tests.shared.grammar.schemas import keeps_to

TURNS = [{"role": "user", "content": "A table for two?"}]
BOOKING = {
    "type": "object",
    "properties": {
        "day": {"enum": ["Friday", "Saturday"]},
        "guests": {"type": "integer", "minimum": 1, "maximum": 12},
        "place": {"$ref": "#/$defs/place"},
    },
    "required": ["day", "guests", "place"],
    "additionalProperties": False,
    "$defs": {"place": {"enum": ["inside", "outside"]}},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "booking", "strict": True, "schema": BOOKING}}
TOOLS = [
    {"type": "function", "function": {"name": "book", "description": "Book a table.", "parameters": BOOKING}},
    {"type": "function", "function": {"name": "ring"}},
]
BOOK = {"type": "function", "function": {"name": "book"}}


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    script = random_script(byte_tokenizer().get_vocab_size())
    bundle = scripted_bundle(blurred(script, 0.5), context=4096)
    with scripted_edge(script, bundle=bundle, max_tokens=300, mode="exact") as edge:
        yield edge


@pytest.fixture(scope="module")
def client(edge: Edge) -> Iterator[Served]:
    with served(edge) as client:
        yield client


def asked(client: Served, **fields):
    return client.chat.completions.create(model="scripted", messages=TURNS, **{"seed": 3} | fields)


@pytest.mark.parametrize("mode", ["sprint", "exact", "cloud", "local", "auto"])
def test_an_answer_keeps_to_a_schema(client, mode):
    got = asked(client, response_format=FORMAT, extra_body={"tandem": {"mode": mode}}).choices[0]
    assert keeps_to(got.message.content, BOOKING)
    assert got.finish_reason == "stop"


def test_it_is_what_the_edge_writes_as_a_whole_and_as_a_stream(client, edge):
    wanted = edge.chat(TURNS, json_schema=BOOKING, seed=3).text
    assert asked(client, response_format=FORMAT).choices[0].message.content == wanted
    chunks = list(asked(client, response_format=FORMAT, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == wanted


def test_the_package_reads_an_answer_into_a_class_of_its_own(client):
    class Booking(BaseModel):
        guests: int
        outside: bool

    got = client.chat.completions.parse(
        model="scripted", messages=TURNS, response_format=Booking, seed=1, temperature=0
    )
    parsed = got.choices[0].message.parsed
    assert parsed is None or isinstance(parsed.guests, int)
    assert got.choices[0].message.content.startswith('{"guests": ')


def test_any_json_object(client):
    got = asked(client, response_format={"type": "json_object"}, max_tokens=1).choices[0]
    assert (got.message.content[0], got.finish_reason) == ("{", "length")


def test_plain_text_may_be_asked_for_by_name(client):
    assert asked(client, response_format={"type": "text"}).choices == asked(client).choices


@pytest.mark.parametrize("choice", ["required", BOOK])
def test_a_function_is_called(client, choice):
    got = asked(client, tools=TOOLS, tool_choice=choice).choices[0]
    [call] = got.message.tool_calls
    assert (got.finish_reason, got.message.content) == ("tool_calls", None)
    assert len(call.id) == 9
    assert call.id.isalnum()
    if choice is BOOK or call.function.name == "book":
        assert call.function.name == "book"
        assert keeps_to(call.function.arguments, BOOKING)
    else:
        assert (call.function.name, call.function.arguments) == ("ring", "{}")


def test_each_function_may_be_called(client):
    called = {
        asked(client, tools=TOOLS, tool_choice="required", seed=seed, temperature=2)
        .choices[0]
        .message.tool_calls[0]
        .function.name
        for seed in range(12)
    }
    assert called == {"book", "ring"}


@pytest.mark.parametrize("limit", [{}, {"max_tokens": 50}, {"max_tokens": 10}, {"stop": "guests"}], ids=str)
def test_a_streamed_call_is_the_whole_one(client, limit):
    whole = asked(client, tools=TOOLS, tool_choice=BOOK, **limit).choices[0]
    name, arguments, reasons = None, "", []
    for chunk in asked(client, tools=TOOLS, tool_choice=BOOK, stream=True, **limit):
        [choice] = chunk.choices
        reasons.append(choice.finish_reason)
        assert not choice.delta.content
        for call in choice.delta.tool_calls or ():
            assert (call.index, call.function.name is None) == (0, name is not None)
            name = name or call.function.name
            arguments += call.function.arguments
    calls = whole.message.tool_calls or []
    assert [(name, arguments)] * len(calls) == [(call.function.name, call.function.arguments) for call in calls]
    assert (reasons[-1], len(calls)) == (whole.finish_reason, 0 if limit == {"max_tokens": 10} else 1)
    assert whole.finish_reason == ("tool_calls" if not limit else "stop" if "stop" in limit else "length")


def test_several_choices_call_each_by_itself(client):
    chunks = list(asked(client, tools=TOOLS, tool_choice=BOOK, stream=True, n=3))
    found = ["", "", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or ():
                found[choice.index] += call.function.arguments
    assert all(keeps_to(arguments, BOOKING) for arguments in found)


def test_no_function_is_called_where_none_shall_be(client):
    assert asked(client, tools=TOOLS, tool_choice="none").choices == asked(client).choices
    for choice in ({}, {"tool_choice": "auto"}):
        assert asked(client, tools=[], **choice).choices == asked(client).choices


@pytest.mark.parametrize(
    ("fields", "param", "why"),
    [
        ({"response_format": {"type": "xml"}}, "response_format", "text, json_object or json_schema"),
        ({"response_format": "json"}, "response_format", "must be an object"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, "response_format", "is missing"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": 7}}},
            "response_format",
            "must be an object",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "objct"}}}},
            "response_format",
            "Invalid type: objct",
        ),
        ({"tools": TOOLS, "tool_choice": "some"}, "tool_choice", r"names one of the tools \(book, ring\)"),
        ({"tool_choice": "required"}, "tool_choice", "there are none"),
        ({"tools": [TOOLS[0]] * 2, "tool_choice": "required"}, "tools", "that of another function too"),
        ({"tools": [{"type": "code"}], "tool_choice": "required"}, "tools", "of the type function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools", "1 to 64 letters"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": []}}]}, "tools", "JSON schema"),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "a", "parameters": {"properties": {"b": {"type": "objct"}}}},
                    }
                ],
                "tool_choice": "required",
            },
            "tools",
            "Invalid type: objct",
        ),
        (
            {"tools": TOOLS, "tool_choice": "required", "response_format": FORMAT},
            "response_format",
            "leave `response_format` out",
        ),
        ({"extra_body": {"functions": [{"name": "a"}]}}, "functions", "give `tools` and `tool_choice`"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_kept_to_is_a_400_of_openais_form(client, fields, param, why, stream):
    with pytest.raises(openai.BadRequestError, match=why) as refusal:
        asked(client, stream=stream, **fields)
    assert refusal.value.param == param
    assert refusal.value.type == "invalid_request_error"


def test_a_target_that_keeps_to_no_schema_is_said_to_be_the_reason():
    script = random_script(byte_tokenizer().get_vocab_size())
    bundle = scripted_bundle(script)
    transport = LoopbackTransport(ScriptedTarget.of(bundle.manifest, script))
    with Edge(transport=transport, bundle=bundle, memory=False) as edge, served(edge) as client:
        with pytest.raises(openai.APIStatusError, match="keeps no text to a schema") as refusal:
            asked(client, response_format=FORMAT)
        assert refusal.value.status_code == 502
        got = asked(client, response_format=FORMAT, extra_body={"tandem": {"mode": "local"}})
        assert json.loads(got.choices[0].message.content).keys() == {"day", "guests", "place"}
