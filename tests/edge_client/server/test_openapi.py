"""The document of the API at `/openapi.json`, held against what the server takes, refuses and answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from edge_client.edge import Edge
from edge_client.server.asked import Asked
from edge_client.server.chat.asked import read_chat
from edge_client.server.completions.asked import read_completion
from edge_client.server.errors import ApiError
from edge_client.server.fields import Fields
from edge_client.server.responses.asked import read_response
from edge_client.server.responses.kept import KeptResponses
from edge_client.testing import blurred, byte_tokenizer, random_script, scripted_bundle, scripted_edge
from edge_client.usage.prices import Prices
from shared.errors import InputError
from shared.version import version
from tests.edge_client.server.serving import Served, served
from tests.edge_client.server.speaking import CALLING
from tests.edge_client.server.test_http import KEY, ask
from tests.project.tree import ROOT, pyproject

DOCUMENT = json.loads((ROOT / "edge_client/server/openapi.json").read_text(encoding="utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
COMPLETION, CHAT, RESPONSE = "/v1/completions", "/v1/chat/completions", "/v1/responses"
READ: dict[str, Callable[[dict[str, Any]], Asked]] = {
    COMPLETION: read_completion,
    CHAT: read_chat,
    RESPONSE: lambda body: read_response(body, KeptResponses()),
}
REQUESTS = {COMPLETION: "CompletionRequest", CHAT: "ChatRequest", RESPONSE: "ResponseRequest"}
# Of each kind of request the whole answer and the chunk of a stream.
ANSWERS = {
    COMPLETION: ("Completion", "CompletionChunk"),
    CHAT: ("Chat", "ChatChunk"),
    RESPONSE: ("Response", "ResponseEvent"),
}
LEAST: dict[str, dict[str, Any]] = {
    COMPLETION: {"model": "scripted", "prompt": "Once", "max_tokens": 2},
    CHAT: {"model": "scripted", "messages": [{"role": "user", "content": "Once"}], "max_tokens": 2},
    RESPONSE: {"model": "scripted", "input": "Once", "max_output_tokens": 2},
}
# What hangs on more than the field itself, of which the document tells in words.
IN_WORDS = {"best_of", "tools", "tool_choice", "model", "previous_response_id"}

FUNCTION = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
TURN = {"role": "user", "content": "Once"}
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 16, 17, 256, 257, 604800, 604801, 1 << 32, (1 << 64) - 1, 1 << 64, -(1 << 64)),
    *(
        0.5,
        1.5,
        9.99,
        10.5,
        -0.25,
        1e300,
        "",
        "a",
        "exact",
        "none",
        "auto",
        "local",
        "typical",
        "gumbel",
        "cost",
        "wait",
    ),
    *([], {}, [[]], [""], ["a"], [1], [-1], [True], [[1], "a"], [1, "a"], ["a"] * 16, ["a"] * 17, [0.5], ["text"]),
    *({"a": 1}, {"type": "text"}, {"type": "json_object"}, {"type": "json_schema"}, {"type": "function"}),
    *(
        {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
        {"type": "json_schema", "json_schema": {}},
    ),
    *({"include_usage": True}, {"include_usage": 1}, {"include_obfuscation": 1}, {"mode": "local"}, {"mode": "fast"}),
    *(
        [TURN],
        [{"role": "user"}],
        [{"content": "a"}],
        [{"role": "a b", "content": "a"}],
        [TURN | {"name": "a"}],
        [[TURN]],
    ),
    *(
        [TURN | {"content": [{"type": "text", "text": "a"}]}],
        [TURN | {"content": [{"type": "image"}]}],
        [TURN | {"a": 1}],
    ),
    *([TURN | {"tool_calls": [7]}], [{"role": "assistant", "tool_calls": []}], [TURN | {"phase": "a", "id": 3}]),
    *({"format": {"type": "text"}}, {"format": {"type": "json_schema"}}, {"verbosity": 3}, "disabled", ["a" * 3]),
    *([{"type": "function_call", "name": "add", "arguments": "{}", "call_id": "a"}], [TURN | {"type": "message"}]),
    *([{"type": "function_call", "name": "add", "arguments": "{}"}], [{"type": "reasoning"}], [TURN | {"type": "x"}]),
    *([TURN | {"content": [{"type": "input_text", "text": "a"}]}], ["reasoning.encrypted_content"]),
    *([TURN | {"tool_calls": [], "refusal": None}], [TURN | {"content": []}], [TURN | {"role": 1}], [FUNCTION]),
]


def properties_of(path: str) -> dict[str, Any]:
    """The fields of a kind of request, and what may stand in each."""
    parts = SCHEMAS[REQUESTS[path]]["allOf"]
    parts = [SCHEMAS[part["$ref"].rpartition("/")[2]] if "$ref" in part else part for part in parts]
    return {name: schema for part in parts for name, schema in part["properties"].items()}


FIELDS = {path: sorted(properties_of(path)) for path in REQUESTS}
IN_TANDEM = [f"tandem.{name}" for name in SCHEMAS["Tandem"]["properties"]]


def keeps_to(kind: str, is_closed: bool = False) -> Draft202012Validator:
    """Looks whether something is of a kind; where that is `closed`, objects have no other fields than it names."""
    schema = {"$ref": f"#/components/schemas/{kind}", "components": DOCUMENT["components"]}
    return Draft202012Validator(_closed(schema) if is_closed else schema)


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _closed(part) for name, part in schema.items()}
    return (
        found | {"additionalProperties": False} if schema.get("type") == "object" and "properties" in schema else found
    )


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    script = random_script(byte_tokenizer().get_vocab_size())
    bundle = scripted_bundle(blurred(script, 0.5), chat=CALLING)
    with scripted_edge(script, bundle=bundle, max_tokens=4, prices=Prices(price_in=1.0)) as edge:
        yield edge


@pytest.fixture(scope="module")
def client(edge: Edge) -> Iterator[Served]:
    with served(edge) as client:
        yield client


def post(client: Served, path: str, body: dict[str, Any]) -> tuple[int, list[Any]]:
    """The status, and what was answered: the whole, or the chunks of a stream."""
    status, headers, said = ask(client, "POST", path, json.dumps(body))
    if not headers["content-type"].startswith("text/event-stream"):
        return status, [json.loads(said)]
    lines = [line.removeprefix("data: ") for line in said.splitlines() if line.startswith("data: ")]
    if path != RESPONSE:
        assert lines.pop() == "[DONE]"
    return status, [json.loads(line) for line in lines]


def test_the_document_is_served_to_everybody_and_shipped(client, edge):
    status, headers, said = ask(client, "GET", "/openapi.json")
    assert (status, headers["content-type"], json.loads(said)) == (200, "application/json", DOCUMENT)
    assert DOCUMENT["info"]["version"] == version()
    patterns = pyproject()["tool"]["setuptools"]["package-data"]["edge_client"]
    assert any(fnmatch("server/openapi.json", pattern) for pattern in patterns)
    with served(edge, key=KEY) as locked:
        for path, operations in DOCUMENT["paths"].items():
            for method, operation in operations.items():
                is_open = operation.get("security") == []
                status = ask(locked, method.upper(), path.replace("{name}", "scripted"))[0]
                assert status == (200 if is_open else 401), path


def test_the_schemas_are_schemas():
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


def test_every_path_is_in_it_but_those_of_the_page(client):
    paths = {route.path for route in client.server.app.routes} - {"/", "/page/{name}"}
    assert paths == DOCUMENT["paths"].keys()


@pytest.mark.parametrize("path", REQUESTS)
def test_every_field_that_is_read_is_in_it_and_no_other(monkeypatch, path):
    names: set[str] = set()

    def watch(method: str, names_of: Any) -> None:
        original = getattr(Fields, method)

        def watched(fields: Fields, *given: Any) -> Any:
            names.update(fields._prefix + name for name in names_of(given))
            return original(fields, *given)

        monkeypatch.setattr(Fields, method, watched)

    watch("take", lambda given: given[:1])
    watch("refuse", lambda given: given[:1])
    watch("drop", lambda given: given)
    READ[path](LEAST[path])
    inside = {
        f"{outer}.{name}"
        for outer, schema in properties_of(path).items()
        if outer in ("stream_options", "text")
        for name in schema["properties"]
    }
    assert names == {*FIELDS[path], *IN_TANDEM, *inside}


@pytest.mark.slow
@pytest.mark.parametrize("path", REQUESTS)
def test_what_it_allows_is_taken_and_what_it_forbids_is_refused(edge, path):
    document, names = keeps_to(REQUESTS[path]), {*FIELDS[path], *IN_TANDEM, "nothing", "tandem.nothing"}
    for name in sorted(names - IN_WORDS):
        for value in VALUES:
            inside = name.removeprefix("tandem.")
            if value is None and inside == "nothing":
                continue  # the document is stricter there: what is null is as if it were not there
            if name == "prompt" and value in ("", [""]):
                continue  # another bundle may begin a text by itself
            field = {name: value} if name == inside else {"tandem": {inside: value}}
            body = LEAST[path] | {"stream": True} | field  # which events need
            assert is_taken(edge, path, body) == document.is_valid(body), body


def is_taken(edge: Edge, path: str, body: dict[str, Any]) -> bool:
    """Whether the server would begin to write."""
    try:
        asked = READ[path](body)
        edge.settings.override(**asked.options)
        return all(prompt(edge.bundle) for prompt in asked.prompts)
    except (ApiError, InputError):
        return False


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(path=st.sampled_from([*REQUESTS]), data=st.data())
def test_refusals_are_as_it_says(client, path, data):
    name, value = data.draw(st.sampled_from([*FIELDS[path], "nothing"])), data.draw(st.sampled_from(VALUES))
    body = LEAST[path] | {name: value}
    status, answers = post(client, path, body)
    if status != 200:
        assert status in (400, 404)
        assert name in (*IN_WORDS, "prompt", "text") or not keeps_to(REQUESTS[path]).is_valid(body)
        keeps_to("Error", is_closed=True).validate(answers[0])
        assert name in f"{answers[0]['error']}"


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


COMMON = {
    "temperature": st.sampled_from([0, 0.7]),
    "stop": st.sampled_from(["a", ["b", "c"]]),
    "seed": st.integers(-5, 5),
    "stream": st.booleans(),
    "model": st.sampled_from(["scripted", "scripted:exact", "scripted:local", "scripted:cloud"]),
    "tandem": some(origins=st.booleans(), events=st.booleans(), audit=st.booleans(), require=st.just("exact")),
}
CHOICES = {
    "max_tokens": st.integers(1, 12),
    "n": st.integers(1, 3),
    "stream_options": some(include_usage=st.booleans()),
}
ASKED = {
    COMPLETION: some(
        **COMMON, **CHOICES, logprobs=st.just(0), prompt=st.sampled_from(["", "Once", [1, 2], ["Once", [3]]])
    ),
    CHAT: some(
        **COMMON,
        **CHOICES,
        logprobs=st.booleans(),
        response_format=st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
        tools=st.just([FUNCTION]),
        tool_choice=st.sampled_from(["required", "auto", "none", FUNCTION]),
    ),
    RESPONSE: some(
        **COMMON,
        max_output_tokens=st.integers(1, 12),
        instructions=st.just("Be brief."),
        include=st.just(["message.output_text.logprobs"]),
        text=some(format=st.sampled_from([{"type": "text"}, {"type": "json_object"}])),
        tools=st.just([{"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}]),
        tool_choice=st.sampled_from(["required", "auto", "none", {"type": "function", "name": "add"}]),
    ),
}


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_answers_are_as_it_says(client, data):
    path = data.draw(st.sampled_from([*REQUESTS]))
    body = LEAST[path] | data.draw(ASKED[path])
    status, answers = post(client, path, body)
    whole, chunk = ANSWERS[path]
    kind = "Error" if status != 200 else chunk if body.get("stream") else whole
    assert str(status) in DOCUMENT["paths"][path]["post"]["responses"]
    assert status < 500
    for answer in answers:
        keeps_to(kind, is_closed=True).validate(answer)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/{name}", "/health"])
def test_what_is_told_of_the_server_is_as_it_says(client, path):
    status, _, said = ask(client, "GET", path.replace("{name}", "scripted:exact"))
    schema = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator(_closed(schema | {"components": DOCUMENT["components"]})).validate(json.loads(said))
    assert status == 200


def test_a_method_that_a_path_does_not_have_is_answered_with_those_that_it_has(client):
    for path, operations in DOCUMENT["paths"].items():
        status, headers, _ = ask(client, "PATCH", path.replace("{name}", "scripted"))
        assert status == 405
        assert {method.upper() for method in operations} == {*headers["allow"].split(", ")} - {"HEAD"}
