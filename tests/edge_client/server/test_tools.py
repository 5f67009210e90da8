"""Functions that the model may call: it is told of them, calls one or answers, and reads what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.edge import Edge
from edge_client.testing import random_script
from edge_client.testing.tokenizer import byte_tokenizer
from shared.chat.pocket import POCKET_CHAT
from tests.edge_client.server.serving import Served, served
from tests.edge_client.server.speaking import CALLING, call, speaker, speaking_edge
from tests.shared.grammar.schemas import keeps_to

MODES = ("sprint", "exact", "local", "cloud", "auto")
TURNS = [{"role": "user", "content": "A table for two?"}]
PLACE = {"enum": ["inside", "outside"]}
ORDER = {
    "type": "object",
    "properties": {"guests": {"type": "integer", "minimum": 1, "maximum": 12}, "place": PLACE},
    "required": ["guests"],
    "additionalProperties": False,
}
BOOK = {"type": "function", "function": {"name": "book", "description": "Books a table.", "parameters": ORDER}}
TOOLS = [BOOK, {"type": "function", "function": {"name": "ring"}}]
ARGUMENTS = '{"guests": 2, "place": "inside"}'


def reply(prompt: str) -> str:
    """Books where it is asked to, unless it has; and tells what came of it."""
    _, _, result = prompt.rpartition("Result of book: ")
    if result != prompt:
        return f"It is said: {result.removesuffix('<|end|>')}"
    return call("book", ARGUMENTS) if '"name": "book"' in prompt and "table for" in prompt else "I do not know."


@pytest.fixture(scope="module", params=[CALLING, POCKET_CHAT], ids=["a template with tools", "one without"])
def edge(request: pytest.FixtureRequest) -> Iterator[Edge]:
    with speaking_edge(speaker(reply), request.param) as edge:
        yield edge


@pytest.fixture(scope="module")
def client(edge: Edge) -> Iterator[Served]:
    with served(edge) as client:
        yield client


def asked(client: Served, turns: list[Any] = TURNS, mode: str = "exact", **fields: Any) -> Any:
    return client.chat.completions.create(model=f"scripted:{mode}", messages=turns, **{"seed": 3} | fields)


def streamed(chunks: Any) -> tuple[str, str | None, str, str]:
    """Words, name, arguments and reason, put together from a stream."""
    words, name, arguments, reason = "", None, "", ""
    for chunk in chunks:
        [choice] = chunk.choices
        words += choice.delta.content or ""
        for part in choice.delta.tool_calls or ():
            assert part.index == 0
            name = part.function.name or name
            arguments += part.function.arguments
        reason = choice.finish_reason or reason
    return words, name, arguments, reason


@pytest.mark.parametrize("mode", MODES)
def test_the_model_calls_a_function_where_it_wants_to(client, mode):
    got = asked(client, tools=TOOLS, mode=mode).choices[0]
    [called] = got.message.tool_calls
    assert (called.function.name, called.function.arguments) == ("book", ARGUMENTS)
    assert (got.finish_reason, got.message.content) == ("tool_calls", None)
    chunks = asked(client, tools=TOOLS, mode=mode, tool_choice="auto", stream=True)
    assert streamed(chunks) == ("", "book", ARGUMENTS, "tool_calls")


@pytest.mark.parametrize("mode", MODES)
def test_and_answers_where_it_does_not(client, mode):
    turns = [{"role": "user", "content": "Who are you?"}]
    got = asked(client, turns, mode, tools=TOOLS).choices[0]
    assert (got.message.content, got.message.tool_calls, got.finish_reason) == ("I do not know.", None, "stop")
    assert streamed(asked(client, turns, mode, tools=TOOLS, stream=True)) == ("I do not know.", None, "", "stop")
    assert asked(client, turns, mode).choices[0].message.content == "I do not know.", "that is all the same without"


def test_it_is_not_told_of_functions_that_it_may_not_call(client):
    assert asked(client, tools=TOOLS, tool_choice="none").choices[0].message.content == "I do not know."


def test_whoever_asks_is_told_where_the_template_does_not_know_of_functions(edge, client):
    warnings = asked(client, tools=TOOLS).usage.tandem[0]["warnings"]
    assert any("does not tell the model of functions" in warning for warning in warnings) == (
        not edge.bundle.calling.is_told
    )
    assert not any("functions" in warning for warning in asked(client).usage.tandem[0]["warnings"])


def test_a_call_that_is_cut_is_told_as_far_as_it_goes(client):
    for limit, told in ((20, None), (len(call("book", '{"guests": 2')) - 13, '{"guests": 2')):
        got = asked(client, tools=TOOLS, max_tokens=limit).choices[0]
        words, name, arguments, reason = streamed(asked(client, tools=TOOLS, max_tokens=limit, stream=True))
        assert (got.finish_reason, reason) == ("length", "length")
        if told is None:
            assert (words or None, name, got.message.tool_calls) == (got.message.content or None, None, None)
        else:
            assert (name, arguments) == ("book", got.message.tool_calls[0].function.arguments)
            assert arguments.startswith(told)


def test_a_chosen_function_is_called_though_the_model_would_not(client):
    turns = [{"role": "user", "content": "Who are you?"}]
    choice = {"type": "function", "function": {"name": "ring"}}
    for chosen in (choice, "required"):
        [called] = asked(client, turns, tools=TOOLS, tool_choice=chosen).choices[0].message.tool_calls
        assert called.function.name == "ring" or chosen == "required"
        assert called.function.name == "book" or called.function.arguments == "{}"


def test_an_answer_in_json_or_a_call():
    """What is no call keeps to the schema."""
    schema = {"type": "object", "properties": {"known": {"const": False}}, "required": ["known"]}
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    script = speaker(lambda prompt: reply(prompt) if "table for" in prompt else '{"known": false}')
    with speaking_edge(script) as edge, served(edge) as client:
        [called] = asked(client, tools=TOOLS, response_format=shape).choices[0].message.tool_calls
        assert called.function.arguments == ARGUMENTS
        turns = [{"role": "user", "content": "Who are you?"}]
        assert asked(client, turns, tools=TOOLS, response_format=shape).choices[0].message.content == '{"known": false}'


def called_turn(arguments: str = ARGUMENTS, words: str | None = None) -> dict[str, Any]:
    function = {"name": "book", "arguments": arguments}
    return {
        "role": "assistant",
        "content": words,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }


def result_turn(content: Any, call_id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


@pytest.mark.parametrize("content", ["done", [{"type": "text", "text": "do"}, {"type": "text", "text": "ne"}]])
def test_turns_that_call_and_tell_what_came_of_it_reach_the_model(content):
    prompts = []
    with speaking_edge(speaker(lambda prompt: prompts.append(prompt) or reply(prompt))) as edge, served(edge) as client:
        turns = [*TURNS, called_turn('{"place":"inside","guests":2}', "Well."), result_turn(content)]
        got = asked(client, turns, tools=TOOLS).choices[0]
    assert (got.message.content, got.finish_reason) == ("It is said: done", "stop")
    written = call("book", '{"place": "inside", "guests": 2}')
    assert prompts[-1].endswith(
        f"<|user|>A table for two?<|end|><|assistant|>Well.{written}<|end|><|user|>Result of book: done<|end|>"
    )


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([result_turn("done")], "there is none with 'call_1'"),
        ([called_turn(), result_turn("done", "call_2")], "there is none with 'call_2'"),
        ([called_turn("[]")], "arguments must be a JSON object"),
        ([called_turn("{")], "arguments must be a JSON object"),
        ([called_turn("[" * 9999)], "arguments must be a JSON object"),
        ([called_turn('{"a":' * 70 + "1" + "}" * 70)], "nested more than 64 deep"),
        ([called_turn() | {"tool_calls": [{"type": "custom"}]}], "of the type function"),
        ([called_turn() | {"tool_calls": {"a": 1}}], "list of calls"),
    ],
)
def test_turns_that_are_none_are_refused(client, turns, why):
    with pytest.raises(openai.BadRequestError, match=why) as refusal:
        asked(client, [*TURNS, *turns], tools=TOOLS)
    assert refusal.value.param == "messages"


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 999), temperature=st.sampled_from([0, 0.7, 1.5]), sureness=st.sampled_from([3.0, 8.0]))
def test_in_every_mode_an_answer_is_words_or_a_call_that_keeps_to_its_parameters(leaning, seed, temperature, sureness):
    """And `exact` writes the text of `cloud`, token for token."""
    written = {}
    for mode in MODES:
        tandem = {"tandem": {"origins": True, "budget": 0.1}}
        got = asked(
            leaning[sureness],
            mode=mode,
            seed=seed,
            temperature=temperature,
            tools=TOOLS,
            extra_body=tandem,
            max_tokens=90,
        )
        [choice] = got.choices
        written[mode] = [token["id"] for token in got.usage.tandem[0]["written"]]
        for called in choice.message.tool_calls or ():
            if choice.finish_reason == "tool_calls":
                assert called.function.name != "book" or keeps_to(called.function.arguments, ORDER)
                assert called.function.name != "ring" or json.loads(called.function.arguments) == {}
        assert (choice.finish_reason == "tool_calls") <= bool(choice.message.tool_calls)
        assert not (choice.message.content or "").startswith(call("", "")[:20])
    assert written["exact"] == written["cloud"]


@pytest.fixture(scope="module")
def leaning() -> Iterator[dict[float, Served]]:
    """Models that would like to call a function, and are more or less sure how one does."""
    noise = random_script(byte_tokenizer().get_vocab_size())
    with (
        speaking_edge(speaker(reply, 3.0, noise)) as unsure,
        speaking_edge(speaker(reply, 8.0, noise)) as sure,
        served(unsure) as first,
        served(sure) as second,
    ):
        yield {3.0: first, 8.0: second}


@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize(("wrong", "why"), [({"type": "strin"}, "strin"), ({"$ref": "#/$defs/none"}, "does not exist")])
def test_parameters_that_no_call_can_keep_to_are_told_of_by_the_functions_name(client, choice, wrong, why):
    ring = {"type": "function", "function": {"name": "ring", "parameters": {"properties": {"how": wrong}}}}
    with pytest.raises(openai.BadRequestError) as refused:
        asked(client, tools=[BOOK, ring], tool_choice=choice)
    assert refused.value.param == "tools"
    assert "the parameters of the function ring: " in refused.value.message
    assert why in refused.value.message
    assert "arguments_0" not in refused.value.message
