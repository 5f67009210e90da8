"""What the local server does not do, it refuses by name, in OpenAI's form."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from edge_client.server import asked, errors
from edge_client.testing import scripted_edge
from tests.edge_client.server.serving import Served, served

TURNS = [{"role": "user", "content": "A table for two?"}]

CALL = {"type": "function", "id": "a", "function": {"name": "f", "arguments": "{}"}}
# Which the pocket models' template does not write.
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}


@pytest.fixture
def client() -> Iterator[Served]:
    with scripted_edge(max_tokens=24) as edge, served(edge) as client:
        yield client


REFUSED = [
    ({"model": "gpt-4"}, openai.NotFoundError, "model_not_found", "model"),
    ({"prompt": ""}, openai.BadRequestError, None, None),
    ({"prompt": [[]]}, openai.BadRequestError, None, None),
    ({"prompt": {"a": 1}}, openai.BadRequestError, None, "prompt"),
    ({"prompt": [99999]}, openai.BadRequestError, None, None),
    ({"prompt": ["a"] * 17}, openai.BadRequestError, None, "prompt"),
    ({"prompt": "a" * 5000}, openai.BadRequestError, "context_length_exceeded", None),
    ({"temperature": 99}, openai.BadRequestError, None, "temperature"),
    ({"temperature": "hot"}, openai.BadRequestError, None, "temperature"),
    ({"top_p": 0}, openai.BadRequestError, None, "top_p"),
    ({"max_tokens": 0}, openai.BadRequestError, None, "max_tokens"),
    ({"max_tokens": 1.5}, openai.BadRequestError, None, "max_tokens"),
    ({"n": 17}, openai.BadRequestError, None, "n"),
    ({"seed": 1 << 70}, openai.BadRequestError, None, "seed"),
    ({"stop": [""]}, openai.BadRequestError, None, "stop"),
    ({"stop": ["x"] * 17}, openai.BadRequestError, None, "stop"),
    ({"stream": "yes"}, openai.BadRequestError, None, "stream"),
    ({"logprobs": 3}, openai.BadRequestError, "unsupported_parameter", "logprobs"),
    ({"echo": True}, openai.BadRequestError, "unsupported_parameter", "echo"),
    ({"suffix": "end"}, openai.BadRequestError, "unsupported_parameter", "suffix"),
    ({"best_of": 3}, openai.BadRequestError, "unsupported_parameter", "best_of"),
    ({"frequency_penalty": 0.5}, openai.BadRequestError, "unsupported_parameter", "frequency_penalty"),
    ({"logit_bias": {"5": 1}}, openai.BadRequestError, "unsupported_parameter", "logit_bias"),
    ({"extra_body": {"min_p": 0.1}}, openai.BadRequestError, "unknown_parameter", "min_p"),
    ({"extra_body": {"tandem": {"speed": 1}}}, openai.BadRequestError, "unknown_parameter", "tandem.speed"),
    ({"extra_body": {"tandem": {"mode": "fast"}}}, openai.BadRequestError, None, "tandem.mode"),
    ({"extra_body": {"tandem": {"budget": 2}}}, openai.BadRequestError, None, "tandem.budget"),
    ({"extra_body": {"tandem": {"window": 999}}}, openai.BadRequestError, None, "tandem.window"),
    ({"extra_body": {"tandem": {"timeout": 0}}}, openai.BadRequestError, None, "tandem.timeout"),
    (
        {"extra_body": {"tandem": {"mode": "auto", "coupling": "residual"}}},
        openai.BadRequestError,
        None,
        "tandem.coupling",
    ),
    ({"extra_body": {"top_k": -1}}, openai.BadRequestError, None, "top_k"),
    ({"extra_body": {"tandem": {"require": "local"}}}, openai.BadRequestError, None, "tandem.require"),
    (
        {"extra_body": {"tandem": {"require": "exact", "on_outage": "local"}}},
        openai.BadRequestError,
        None,
        "tandem.on_outage",
    ),
    ({"extra_body": {"tandem": {"on_outage": "never"}}}, openai.BadRequestError, None, "tandem.on_outage"),
    (
        {"extra_body": {"tandem": {"require": "exact", "on_outage": "LOCAL"}}},
        openai.BadRequestError,
        None,
        "tandem.on_outage",
    ),
    (
        {"extra_body": {"tandem": {"require": "exact", "coupling": "residual"}}},
        openai.BadRequestError,
        None,
        "tandem.coupling",
    ),
    (
        {"model": "scripted:local", "extra_body": {"tandem": {"require": "exact"}}},
        openai.BadRequestError,
        None,
        "model",
    ),
    ({"prompt": "a " * 2_000_000}, openai.BadRequestError, "context_length_exceeded", None),
    ({"model": "scripted:cloud", "extra_body": {"tandem": {"mode": "exact"}}}, openai.BadRequestError, None, "model"),
]


@pytest.mark.parametrize(("wrong", "kind", "code", "param"), REFUSED)
def test_what_cannot_be_done_is_refused(client, wrong, kind, code, param):
    body = {"model": "scripted", "prompt": "Once", "max_tokens": 4} | wrong
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            client.completions.create(**{"stream": stream} | body)
        assert caught.value.code == code
        assert caught.value.param == param
        assert len(caught.value.body["message"]) > 20
    client.wait_until_idle()


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "a robot!", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"top_logprobs": 3, "logprobs": True},
        {"response_format": {"type": "xml"}},
        {"tools": [{"type": "web_search"}]},
        {"messages": [*TURNS, {"role": "tool", "tool_call_id": "a", "content": "x"}]},
        {"messages": [*TURNS, CALLING | {"tool_calls": [CALL | {"function": {"name": "f", "arguments": "["}}]}]},
        {"messages": [*TURNS, CALLING | {"tool_calls": [CALL | {"id": 3}]}]},
        {"messages": [*TURNS, CALLING | {"tool_calls": "f"}]},
        {"messages": [*TURNS, CALLING]},
    ],
)
def test_what_a_chat_cannot_be_is_refused(client, wrong):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**{"model": "scripted", "messages": TURNS} | wrong)


def test_every_field_inside_of_tandem_is_named_so_in_errors():
    others = {"top_k"}  # which other servers take by itself, and so does this one
    assert {"mode", *asked._TANDEM} - others == errors._INSIDE
