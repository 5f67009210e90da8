"""The official openai package against `/v1/responses`: what it gets is what a chat is answered with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

from edge_client.edge import Edge
from edge_client.testing import random_script, scripted_edge
from edge_client.testing.tokenizer import byte_tokenizer
from shared.errors import TargetUnavailable
from tests.edge_client.server.serving import Served, served
from tests.edge_client.server.speaking import call, marking_tokenizer, speaker, speaking_edge
from tests.edge_client.server.test_http import ask

MODES = ("sprint", "exact", "local", "cloud", "auto")
# The package's own type of each event.
EVENTS = {
    get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(ResponseStreamEvent)[0])
}
ORDER = {
    "type": "object",
    "properties": {"guests": {"enum": [2, 3]}},
    "required": ["guests"],
    "additionalProperties": False,
}
BOOK = {"type": "function", "name": "book", "description": "Books a table.", "parameters": ORDER, "strict": True}
SEED = {"seed": 5}
OPENING = ["response.created", "response.in_progress"]
MESSAGE = ["response.output_item.added", "response.content_part.added", "response.output_text.delta"]
MESSAGE_DONE = ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
CALL = ["response.output_item.added", "response.function_call_arguments.delta"]
CALL_DONE = ["response.function_call_arguments.done", "response.output_item.done"]


def reply(prompt: str) -> str:
    """Says again what was said, or books a table."""
    last = prompt.rpartition("<|user|>")[2].removesuffix("<|end|>")
    if last.startswith("Book") and '"name": "book"' in prompt:
        words = "Let me see.\n" if "politely" in last else ""
        return f"{words}{call('book', json.dumps({'guests': 2}))}"
    return '{"word": "yes"}' if last == "JSON" else f"You said: {last}"


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    """Those that were read."""
    return []


@pytest.fixture(scope="module")
def edge(prompts: list[str]) -> Iterator[Edge]:
    script = speaker(lambda prompt: prompts.append(prompt) or reply(prompt))
    with speaking_edge(script, conversations=4) as edge:
        yield edge


@pytest.fixture(scope="module")
def client(edge: Edge) -> Iterator[Served]:
    with served(edge) as client:
        yield client


def asked(client: Served, input: Any, mode: str = "exact", **fields: Any) -> Any:
    return client.responses.create(model=f"scripted:{mode}", input=input, extra_body=SEED, **fields)


def events_of(client: Served, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream as they travel, each such as the package's own types have it."""
    status, headers, said = ask(
        client, "POST", "/v1/responses", json.dumps({"model": "scripted:exact", "stream": True} | SEED | body)
    )
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    found = []
    for number, part in enumerate(said.split("\n\n")[:-1]):
        name, data = part.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert (name, event["sequence_number"]) == (f"event: {event['type']}", number)
        if not event["type"].startswith("tandem"):
            EVENTS[event["type"]].model_validate(event)
        found.append(event)
    return found


def kinds_of(events: list[dict[str, Any]]) -> list[str]:
    """Their types; deltas one after the other are one."""
    kinds = [event["type"] for event in events]
    return [kind for i, kind in enumerate(kinds) if not (kind.endswith("delta") and kinds[i - 1 : i] == [kind])]


@pytest.mark.parametrize("mode", MODES)
def test_a_response_is_what_a_chat_says(mode):
    fields = {"model": f"scripted:{mode}", "temperature": 0.8, "top_p": 0.95}
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    answers = []
    for stream in (False, True):
        with scripted_edge() as edge, served(edge) as client:
            got = client.responses.create(
                instructions="Be brief.", input="Hi", max_output_tokens=40, extra_body=SEED, stream=stream, **fields
            )
            if stream:
                *said, end = got
                got = end.response
                assert "".join(event.delta for event in said if event.type == MESSAGE[-1]) == got.output_text
            answers.append(got)
            with scripted_edge() as edge, served(edge) as other:
                wanted = other.chat.completions.create(messages=turns, max_tokens=40, seed=5, **fields)
    for got in answers:
        Response.model_validate(got.to_dict())
        assert got.output_text == wanted.choices[0].message.content
        assert got.usage.output_tokens == wanted.usage.completion_tokens
        assert got.usage.input_tokens == wanted.usage.prompt_tokens
        assert got.usage.total_tokens == got.usage.input_tokens + got.usage.output_tokens
        assert (got.usage.input_tokens_details.cached_tokens, got.usage.output_tokens_details.reasoning_tokens) == (
            0,
            0,
        )
        assert got.usage.tandem[0]["mode"] == mode
        is_cut = wanted.choices[0].finish_reason == "length"
        assert got.status == ("incomplete" if is_cut else "completed")
        assert (got.incomplete_details is not None) == is_cut
        assert got.instructions == "Be brief."


def test_a_stream_has_the_events_of_a_message(client):
    events = events_of(client, input="Hi")
    assert kinds_of(events) == [*OPENING, *MESSAGE, *MESSAGE_DONE, "response.completed"]
    [item] = events[-1]["response"]["output"]
    assert item["content"][0]["text"] == events[-4]["text"] == "You said: Hi"
    assert events[-2]["item"] == item
    assert {event["item_id"] for event in events if "item_id" in event} == {item["id"]}
    assert {event["response"]["id"] for event in events if "response" in event} == {events[0]["response"]["id"]}


def test_a_stream_has_the_events_of_a_call(client):
    events = events_of(client, input="Book", tools=[BOOK])
    assert kinds_of(events) == [*OPENING, *CALL, *CALL_DONE, "response.completed"]
    [item] = events[-1]["response"]["output"]
    assert (item["name"], item["arguments"], item["status"]) == ("book", '{"guests": 2}', "completed")
    assert "".join(event.get("delta", "") for event in events) == events[-3]["arguments"] == item["arguments"]
    assert events[-2]["item"] == item


def test_words_may_stand_before_a_call_that_a_token_marks():
    tokenizer = marking_tokenizer()
    with speaking_edge(speaker(reply, tokenizer=tokenizer), tokenizer=tokenizer) as edge, served(edge) as client:
        events = events_of(client, input="Book politely", tools=[BOOK])
        assert kinds_of(events) == [*OPENING, *MESSAGE, *MESSAGE_DONE, *CALL, *CALL_DONE, "response.completed"]
        words, called = events[-1]["response"]["output"]
        assert (words["content"][0]["text"], called["arguments"]) == ("Let me see.\n", '{"guests": 2}')
        with client.responses.stream(model="scripted:exact", input="Book politely", tools=[BOOK]) as stream:
            final = stream.get_final_response()
        assert [item.type for item in final.output] == ["message", "function_call"]
        assert final.output[1].parsed_arguments == {"guests": 2}
        places = {event["output_index"] for event in events if event.get("item_id") == called["id"]}
        assert places == {1}
        turns = [{"role": "user", "content": "Book politely"}]
        tools = [{"type": "function", "function": BOOK}]
        whole = client.chat.completions.create(model="scripted:exact", messages=turns, tools=tools).choices[0]
        assert (whole.message.content, whole.finish_reason) == ("Let me see.\n", "tool_calls")


def test_words_that_are_cut_and_nothing_at_all(client):
    events = events_of(client, input="Hi", max_output_tokens=5)
    assert kinds_of(events) == [*OPENING, *MESSAGE, *MESSAGE_DONE, "response.incomplete"]
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"
    events = events_of(client, input="Hi", stop="You")
    assert kinds_of(events) == [*OPENING, *MESSAGE[:2], *MESSAGE_DONE, "response.completed"]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == ""


def test_a_call_that_is_cut_is_incomplete(client):
    limit = len(call("book", '{"guests": 2')) - 13
    events = events_of(client, input="Book", tools=[BOOK], max_output_tokens=limit)
    assert kinds_of(events) == [*OPENING, *CALL, *CALL_DONE, "response.incomplete"]
    [item] = events[-1]["response"]["output"]
    assert item["status"] == "incomplete"
    assert item["arguments"].startswith('{"guests": 2')


@pytest.mark.parametrize(
    ("input", "tools", "output"),
    [("Hi", [], ["message"]), ("Book", [BOOK], ["function_call"])],
)
def test_the_package_puts_a_stream_together(client, input, tools, output):
    with client.responses.stream(model="scripted:exact", input=input, tools=tools, extra_body=SEED) as stream:
        snapshots = [event.snapshot for event in stream if event.type.endswith("delta")]
        final = stream.get_final_response()
    whole = asked(client, input, tools=tools)
    assert [item.type for item in final.output] == [item.type for item in whole.output] == output
    assert final.output_text == whole.output_text
    if output == ["function_call"]:
        assert final.output[0].parsed_arguments == {"guests": 2}
        assert snapshots[-1] == final.output[0].arguments == whole.output[0].arguments
    else:
        assert snapshots[-1] == "You said: Hi"


def test_the_package_reads_an_answer_into_a_class_of_its_own(client):
    class Answer(BaseModel):
        word: str

    assert client.responses.parse(model="scripted:exact", input="JSON", text_format=Answer).output_parsed.word == "yes"
    with client.responses.stream(model="scripted:exact", input="JSON", text_format=Answer) as stream:
        assert stream.get_final_response().output_parsed.word == "yes"
    shape = {"format": {"type": "json_object"}, "verbosity": "low"}
    assert json.loads(asked(client, "JSON", text=shape).output_text) == {"word": "yes"}
    assert asked(client, "Hi", text={"format": {"type": "text"}}).output_text == "You said: Hi"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "book"}])
def test_a_function_is_called_where_it_must_be(client, choice):
    got = asked(client, "Hi", tools=[BOOK], tool_choice=choice)
    assert [(item.type, item.name) for item in got.output] == [("function_call", "book")]
    assert asked(client, "Book", tools=[BOOK], tool_choice="none").output_text == "You said: Book"


@pytest.mark.parametrize(
    "items",
    [
        [{"role": "user", "content": "Hi"}],
        [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "H"}, {"type": "input_text", "text": "i"}],
            }
        ],
    ],
)
def test_what_is_given_in_items_is_what_is_given_as_a_text(client, prompts, items):
    asked(client, "Hi")
    wanted = prompts[-1]
    asked(client, items)
    assert prompts[-1] == wanted


def test_instructions_and_a_turn_of_the_system_are_one(client, prompts):
    for role in ("system", "developer"):
        items = [{"role": role, "content": "And kind."}, {"role": "user", "content": "Hi"}]
        asked(client, items, instructions="Be brief.")
        assert prompts[-1] == "<|endoftext|><|system|>Be brief.\n\nAnd kind.<|end|><|user|>Hi<|end|>"
    asked(client, "Hi", instructions="Be brief.")
    assert prompts[-1] == "<|endoftext|><|system|>Be brief.<|end|><|user|>Hi<|end|>"


RESULT = {"type": "function_call_output", "output": "done"}


def test_a_conversation_goes_on_from_a_response(client, prompts):
    first = asked(client, "Good morning", instructions="Be brief.")
    second = asked(client, "Book", previous_response_id=first.id, tools=[BOOK])
    [called] = second.output
    third = asked(client, [RESULT | {"call_id": called.call_id}], previous_response_id=second.id, instructions="Go on.")
    assert third.previous_response_id == second.id
    assert prompts[-1] == (
        "<|endoftext|><|system|>Go on.<|end|><|user|>Good morning<|end|><|assistant|>You said: Good morning<|end|>"
        f"<|user|>Book<|end|><|assistant|>{call('book', json.dumps({'guests': 2}))}<|end|>"
        "<|user|>Result of book: done<|end|>"
    ), "instructions are those of each request"
    fourth = asked(client, "And now?", previous_response_id=third.id, instructions="Go on.")
    assert fourth.usage.input_tokens_details.cached_tokens > third.usage.input_tokens, "only what is new is read"


def test_the_same_with_all_items_given(client, prompts):
    items: list[Any] = [{"role": "user", "content": "Book"}]
    first = asked(client, items, tools=[BOOK])
    by_id = asked(client, [RESULT | {"call_id": first.output[0].call_id}], previous_response_id=first.id)
    wanted = prompts[-1]
    items += [item.to_dict() for item in first.output]
    items.append(RESULT | {"call_id": first.output[0].call_id, "output": [{"type": "input_text", "text": "done"}]})
    assert asked(client, items, store=False).output_text == by_id.output_text
    assert prompts[-1] == wanted
    items += [item.to_dict() for item in by_id.output]
    asked(client, [*items, {"role": "user", "content": "Hi"}])
    assert prompts[-1].startswith(wanted)
    assert by_id.output_text in prompts[-1]


def test_words_and_a_call_are_one_turn(client, prompts):
    called = {"type": "function_call", "name": "book", "arguments": '{"guests": 2}', "call_id": "a"}
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]}
    asked(client, [{"role": "user", "content": "Book"}, said, called, RESULT | {"call_id": "a"}], tools=[BOOK])
    assert f"<|assistant|>Let me see.{call('book', json.dumps({'guests': 2}))}<|end|><|user|>" in prompts[-1]


def test_responses_are_kept_unless_nobody_wants_that(client):
    got = asked(client, "Hi", metadata={"a": "b"})
    again = client.responses.retrieve(got.id)
    assert (again.to_dict(), again.metadata) == (got.to_dict(), {"a": "b"})
    client.responses.delete(got.id)
    for gone in (got.id, asked(client, "Hi", store=False).id, "resp_other"):
        with pytest.raises(openai.NotFoundError, match="there is no response"):
            client.responses.retrieve(gone)
        with pytest.raises(openai.NotFoundError, match="there is no response"):
            client.responses.delete(gone)
        with pytest.raises(openai.BadRequestError, match="there is no response") as refusal:
            asked(client, "Hi", previous_response_id=gone)
        assert (refusal.value.param, refusal.value.code) == ("previous_response_id", "previous_response_not_found")


def test_a_streamed_response_is_kept_too(client):
    end = events_of(client, input="Hi")[-1]["response"]
    assert client.responses.retrieve(end["id"]).to_dict() == Response.construct(**end).to_dict()
    assert asked(client, "Hi", previous_response_id=end["id"]).output_text == "You said: Hi"


def test_a_call_that_was_cut_is_no_turn(client, prompts):
    limit = len(call("book", '{"guests": 2')) - 13
    cut = asked(client, "Book", tools=[BOOK], max_output_tokens=limit)
    asked(client, "Hi", previous_response_id=cut.id)
    assert prompts[-1].endswith("<|user|>Book<|end|><|assistant|><|end|><|user|>Hi<|end|>")


def test_log_probabilities(client):
    got = asked(client, "Hi", include=["message.output_text.logprobs", "reasoning.encrypted_content"])
    [part] = got.output[0].content
    assert "".join(token.token for token in part.logprobs) == part.text
    assert all(token.logprob > -0.1 for token in part.logprobs)
    assert asked(client, "Hi").output[0].content[0].logprobs == []
    events = events_of(client, input="Hi", include=["message.output_text.logprobs"])
    assert len(events[-4]["logprobs"]) == len(part.logprobs)


def test_events_of_ours_stand_between_theirs(client):
    events = events_of(client, input="Hi", tandem={"events": True, "origins": True})
    tokens = [one for event in events if event["type"] == "tandem.events" for one in event["events"]]
    written = events[-1]["response"]["usage"]["tandem"][0]["written"]
    assert [token["id"] for token in tokens if token["type"] == "token"] == [token["id"] for token in written]
    assert kinds_of([event for event in events if event["type"] != "tandem.events"])[-1] == "response.completed"


def test_an_error_in_the_middle_is_told():
    script = random_script(byte_tokenizer().get_vocab_size())

    def failing(text: Any) -> Any:
        if len(text) > 30:
            raise TargetUnavailable("the target has gone")
        return script(text)

    with scripted_edge(script, failing) as edge, served(edge) as client:
        events = events_of(client, model="scripted:local", input="Hi", max_output_tokens=60)
        assert (events[-1]["type"], events[-1]["response"]["status"]) == ("response.failed", "failed")
        assert events[-1]["response"]["error"]["message"] == "the target has gone"
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(events[-1]["response"]["id"])
        with pytest.raises(openai.InternalServerError, match="the target has gone"):
            asked(client, "Hi", "local", max_output_tokens=60)
        client.wait_until_idle()
        with pytest.raises(openai.BadRequestError, match="context"):
            asked(client, "a" * 600, "local", stream=True)
