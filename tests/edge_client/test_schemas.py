"""Texts that keep to a schema: in every mode they do, and everything else about them stays what it is."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.cli.verifier_report import as_text
from edge_client.edge import Edge
from edge_client.promise.memory import Memory
from edge_client.settings import Settings
from edge_client.testing import (
    LoopbackTransport,
    LossyTransport,
    ManualClock,
    ScriptedTarget,
    Trouble,
    blurred,
    byte_tokenizer,
    random_script,
    scripted_bundle,
    scripted_edge,
)
from shared.errors import InputError, TargetMismatch
from shared.grammar import library
from tests.shared.grammar.schemas import keeps_to, schemas, wide_schemas

VOCABULARY = byte_tokenizer().get_vocab_size()
SCRIPT = random_script(VOCABULARY)
# Doubts that look like those of a verifier, of drafts that know of few tokens.
BUNDLE = scripted_bundle(blurred(SCRIPT, 1.0), lambda step, draw: 1.0 / (1.0 + draw.noisy_margin), candidates=24)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 6}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WAYS = (
    {"mode": "exact"},
    {"mode": "cloud"},
    {"mode": "local"},
    {"mode": "sprint", "budget": 0.1},
    {"mode": "auto"},
    {"mode": "exact", "coupling": "residual"},
    {"mode": "sprint", "budget": 0.1, "coupling": "residual"},
)


@pytest.fixture(scope="module")
def edge():
    with scripted_edge(SCRIPT, bundle=BUNDLE, max_tokens=400) as edge:
        yield edge


@pytest.mark.slow
@settings(max_examples=60)
@given(schema=schemas, seed=st.integers(0, 99), temperature=st.sampled_from([0.0, 0.7, 1.5]))
def test_in_every_mode_a_text_keeps_to_its_schema(edge, schema, seed, temperature):
    """And `exact` writes the text of `cloud`, token for token."""
    texts = [edge.generate("Once", json_schema=schema, seed=seed, temperature=temperature, **way) for way in WAYS]
    for way, done in zip(WAYS, texts, strict=True):
        assert done.finish_reason == "end", (way, done.text)
        assert keeps_to(done.text, schema), (way, done.text)
    assert texts[0].token_ids == texts[1].token_ids


@pytest.mark.slow
@pytest.mark.parametrize("kind", wide_schemas)
def test_and_to_schemas_of_all_kinds_where_it_ends(edge, kind):
    """Their texts may be longer than there is room."""
    ended = cut = 0

    @settings(max_examples=8)
    @given(schema=wide_schemas[kind], seed=st.integers(0, 99), temperature=st.sampled_from([1.5, 0.7, 0.0]))
    def write(schema, seed, temperature):
        nonlocal ended, cut
        options = {"json_schema": schema, "seed": seed, "temperature": temperature, "max_tokens": 160}
        texts = [edge.generate("Once", **options, **way) for way in WAYS]
        for way, done in zip(WAYS, texts, strict=True):
            if done.finish_reason == "length":
                cut += 1
                continue
            ended += 1
            assert done.finish_reason == "end"
            assert keeps_to(done.text, schema), (way, done.text)
        assert texts[0].token_ids == texts[1].token_ids

    write()
    assert ended > (0 if kind == "open" else cut), "the names in an open object may be of any length"


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_text_matches_a_regex(edge, way):
    done = edge.generate("Once", regex="(yes|no), [a-z]{3}", **way)
    assert (done.text[:-5] in ("yes", "no"), done.text[-5:-3], done.finish_reason) == (True, ", ", "end")


def test_any_json_object(edge):
    done = edge.generate("Once", mode="exact", json_schema={"type": "object"}, max_tokens=500, seed=1)
    if done.finish_reason == "end":
        assert isinstance(json.loads(done.text), dict)
    assert done.text.startswith("{")


def test_a_text_that_is_cut_says_so(edge):
    done = edge.generate("Once", json_schema=PERSON, max_tokens=5, mode="exact")
    assert (done.finish_reason, done.text) == ("length", '{"nam')


def test_a_stop_string_ends_it_all_the_same(edge):
    done = edge.generate("Once", json_schema=PERSON, stop='"age"', mode="exact")
    assert done.finish_reason == "stop"
    assert done.text.endswith(", ")


def test_what_the_grammar_forces_is_shown_without_asking():
    """Even by a verifier that doubts everything, within no budget at all."""
    with scripted_edge(SCRIPT, bundle=scripted_bundle(SCRIPT, lambda *_: 1.0), max_tokens=400) as edge:
        done = edge.generate("Once", json_schema={"const": "always the same"}, budget=1e-9)
    assert done.text == '"always the same"'
    assert set(done.origins) == {"accepted"}
    assert done.audit.counts.asked == 0
    assert done.audit.counts.off_strict == 0
    assert done.audit.tokens == len(done.token_ids)


def test_what_the_draft_knows_nothing_of_is_always_asked():
    """The draft knows one token only, and the verifier doubts nothing: where that one is forbidden, it is not asked."""
    bundle = scripted_bundle(random_script(VOCABULARY, seed=5), candidates=1)
    with scripted_edge(SCRIPT, bundle=bundle, max_tokens=400) as edge:
        done = edge.generate("Once", json_schema={"type": "string", "pattern": "^[a-c]{40}$"}, budget=1)
        cloud = edge.generate("Once", json_schema={"type": "string", "pattern": "^[a-c]{40}$"}, mode="cloud")
    assert done.text == cloud.text
    assert done.origins.count("accepted") <= 3  # quotation marks and the end, which are forced
    assert done.audit.counts.off_strict == 0


@pytest.mark.parametrize("trouble", [Trouble.LOST_ANSWER, Trouble.RESTART])
def test_a_link_that_breaks_changes_no_token(trouble):
    with scripted_edge(SCRIPT, bundle=BUNDLE, max_tokens=200) as edge:
        wanted = edge.generate("Once", mode="exact", json_schema=PERSON)
    clock = ManualClock()
    target = ScriptedTarget.of(BUNDLE.manifest, SCRIPT, BUNDLE.tokenizer)
    transport = LossyTransport(target, [trouble] * 3, clock)
    with Edge(transport=transport, bundle=BUNDLE, memory=False, clock=clock, max_tokens=200) as edge:
        done = edge.generate("Once", mode="exact", json_schema=PERSON)
    assert done.token_ids == wanted.token_ids
    assert done.usage.reconnects > 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"json_schema": {"type": "objct"}}, "no text can be kept to this schema or grammar: Invalid type: objct"),
        ({"json_schema": "{"}, "the schema is not JSON"),
        ({"json_schema": ["type"]}, "a JSON schema is an object"),
        ({"regex": "(a"}, "unclosed group"),
        ({"regex": 7}, "regex must be text"),
        ({"regex": "a", "json_schema": {}}, "give json_schema, regex or lark"),
    ],
)
def test_what_cannot_be_kept_to_is_refused_before_anything_is_sent(options, why):
    transport = LoopbackTransport(ScriptedTarget.of(BUNDLE.manifest, SCRIPT, BUNDLE.tokenizer))
    with (
        Edge(transport=transport, bundle=BUNDLE, memory=False) as edge,
        pytest.raises(InputError, match=why),
    ):
        edge.stream("Once", **options)
    assert not transport.service.texts


def test_a_bundle_whose_texts_never_end_is_refused():
    bundle = scripted_bundle(SCRIPT, end_ids=[])
    with (
        scripted_edge(SCRIPT, bundle=bundle) as edge,
        pytest.raises(InputError, match="knows no token that ends a text"),
    ):
        edge.generate("Once", json_schema=PERSON)


def test_a_target_that_keeps_to_no_schema_is_refused_by_name():
    transport = LoopbackTransport(ScriptedTarget.of(BUNDLE.manifest, SCRIPT))
    with Edge(transport=transport, bundle=BUNDLE, memory=False, max_tokens=100) as edge:
        with pytest.raises(
            TargetMismatch, match=r"scripted at .* keeps no text to a schema; llguidance has to be"
        ) as no:
            edge.generate("Once", json_schema=PERSON)
        assert no.value.options == ("mode local",)
        assert keeps_to(edge.generate("Once", json_schema=PERSON, mode="local").text, PERSON)
        assert edge.generate("Once", mode="exact").finish_reason in ("end", "length")


def test_a_target_with_another_version_is_refused(monkeypatch):
    transport = LoopbackTransport(ScriptedTarget.of(BUNDLE.manifest, SCRIPT, BUNDLE.tokenizer))
    with Edge(transport=transport, bundle=BUNDLE, memory=False) as edge:
        edge.connect()
        monkeypatch.setattr(library, "version", lambda: "llguidance 0.1")
        with pytest.raises(
            TargetMismatch, match=r"follows grammars with llguidance .*, and this device with llg.* 0\.1"
        ):
            edge.generate("Once", json_schema=PERSON)


def test_a_device_without_the_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    bundle = scripted_bundle(SCRIPT)
    with (
        scripted_edge(SCRIPT, bundle=bundle) as edge,
        pytest.raises(InputError, match=r'needs the package llguidance.*pip install ".\[edge\]"'),
    ):
        edge.generate("Once", json_schema=PERSON)


def test_texts_under_a_schema_are_a_promise_of_their_own(tmp_path):
    with scripted_edge(SCRIPT, bundle=BUNDLE, memory=tmp_path, max_tokens=60) as edge:
        edge.generate("Once")
        edge.generate("Once", json_schema=PERSON)
        edge.generate("Once", regex="[a-z]{30}")
    memory = Memory.open(BUNDLE.manifest, tmp_path)
    assert {promise.constrained: entry.texts for promise, entry in memory.entries.items()} == {False: 1, True: 2}
    report = as_text(BUNDLE.manifest, memory)
    assert "typical, under a schema" in report


def test_a_text_has_its_own_grammar_in_the_place_of_the_edges(edge):
    with scripted_edge(SCRIPT, bundle=BUNDLE, max_tokens=400, mode="exact", json_schema=PERSON) as edge:
        assert keeps_to(edge.generate("Once").text, PERSON)
        assert edge.generate("Once", lark='start: "yes" | "no"').text in ("yes", "no")
        assert (
            edge.generate("Once", json_schema=None).text == edge.generate("Once", json_schema=None, mode="cloud").text
        )


def test_equal_schemas_are_equal_settings():
    one, other = Settings(json_schema=PERSON), Settings(json_schema=json.dumps(PERSON, indent=2))
    assert (one, hash(one), one.grammar) == (other, hash(other), other.grammar)
    assert Settings().grammar is None
