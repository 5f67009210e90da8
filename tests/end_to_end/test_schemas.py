"""The embedded pair under schemas, over a real link: JSON in every mode, and `exact` is still `cloud`."""

from __future__ import annotations

import random

import grpc
import pytest

from edge_client.edge import Edge
from edge_client.stream import Completion
from shared.config import Coupling, Sampling
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.serving_target import ServingTarget
from tests.shared.grammar.letters import kept_to
from tests.shared.grammar.schemas import Schema, keeps_to

pytestmark = pytest.mark.slow

PROMPT = "Once upon a time there was a little girl called"
BOOKING = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 16},
        "guests": {"type": "integer", "minimum": 1, "maximum": 12},
        "seats": {"type": "array", "items": {"enum": ["inside", "outside"]}, "maxItems": 2},
        "note": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 40}]},
    },
    "required": ["name", "guests", "seats", "note"],
    "additionalProperties": False,
}

PLACE = {
    "type": "object",
    "properties": {
        "at": {"type": "number", "exclusiveMinimum": -90, "maximum": 90},
        "ip": {"type": "string", "format": "ipv4"},
    },
    "required": ["at", "ip"],
    "additionalProperties": False,
}
SCHEMAS = {
    "bounds and a format": PLACE,
    "references": {
        "$defs": {
            "step": {"enum": ["walk", {"wait": 2.5}, None]},
            "way": {
                "type": "object",
                "properties": {"step": {"$ref": "#/$defs/step"}, "then": {"$ref": "#/$defs/end"}},
                "required": ["step", "then"],
                "additionalProperties": False,
            },
            "end": {"anyOf": [{"const": ["the", "end"]}, {"$ref": "#/$defs/way"}]},
        },
        "$ref": "#/$defs/way",
    },
    "a long string": {"type": "string", "minLength": 60, "maxLength": 120},
    "an array": {
        "type": "array",
        "items": {"type": "integer", "exclusiveMinimum": 0, "maximum": 999, "multipleOf": 5},
        "minItems": 6,
        "maxItems": 9,
    },
    "a format": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string", "format": "date"}]},
}


@pytest.fixture
def address(pocket_target: ServingTarget) -> str:
    return pocket_target.address


def write(edge: Edge) -> dict[str, Completion]:
    """A text in every mode."""
    texts = {mode: edge.generate(PROMPT, mode=mode) for mode in ("exact", "cloud", "local", "auto")}
    texts["sprint"] = edge.generate(PROMPT, budget=0.05)
    texts["residual"] = edge.generate(PROMPT, mode="exact", coupling="residual")
    return texts


def see_that_all_keep_to(schema: Schema, texts: dict[str, Completion]) -> None:
    for way, done in texts.items():
        assert done.finish_reason == "end", (way, done.text)
        assert keeps_to(done.text, schema), (way, done.text)
    assert texts["exact"].token_ids == texts["cloud"].token_ids


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.2])
def test_in_every_mode_there_is_json_and_exact_is_cloud(address, temperature):
    with Edge(address, memory=False, max_tokens=200, temperature=temperature, json_schema=BOOKING) as edge:
        see_that_all_keep_to(BOOKING, write(edge))


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_of_all_kinds_are_kept_to(address, name):
    with Edge(address, memory=False, max_tokens=200, json_schema=SCHEMAS[name]) as edge:
        see_that_all_keep_to(SCHEMAS[name], write(edge))


def test_texts_with_and_without_schemas_share_passes(address):
    """Each is what it is alone."""
    kinds = [{}, {"json_schema": BOOKING}, {"regex": "[a-z ]{60}"}]
    with Edge(address, memory=False, max_tokens=60, mode="exact") as edge:
        alone = [edge.generate(PROMPT, **kind).token_ids for kind in kinds]
        order = [random.Random(0).randrange(3) for _ in range(6)]
        streams = [edge.stream(PROMPT, **kinds[kind]) for kind in order]
        iterators = [iter(stream) for stream in streams]
        while iterators:
            iterators = [one for one in iterators if next(one, None) is not None]
        assert [stream.completion.token_ids for stream in streams] == [alone[kind] for kind in order]


def test_a_grammar_that_the_target_does_not_take_ends_the_call_with_a_sentence(address):
    wrong = kept_to("(a", 1)
    session = codec.encode_session(bytes(16), Sampling(), Coupling.GUMBEL, [0], wrong)
    request = wire.DecodeRequest(session=session, request_id=1, tokens=[1], audit_from=1, judge_from=1, write_on=5)
    with (
        grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
        pytest.raises(grpc.RpcError, match="unclosed group") as refusal,
    ):
        list(TargetServiceStub(channel).Decode(iter([request])))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
