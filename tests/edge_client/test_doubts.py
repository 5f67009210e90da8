"""The verifier's doubts as a reader is told of them: about what was drafted, wherever anybody doubted."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client import Origin, Token
from edge_client.testing import (
    LoopbackTransport,
    ScriptedTarget,
    blurred,
    random_script,
    scripted_bundle,
    scripted_edge,
)
from edge_client.testing.tokenizer import byte_tokenizer
from tests.edge_client.cut import BUNDLE, new_target
from tests.edge_client.late import LateTransport

SURE, UNSURE = 0.01, 0.9  # as the scripted verifier of `BUNDLE` has it, by the drafted token


def doubt_of(drafted: int) -> float:
    return UNSURE if drafted % 4 == 0 else SURE


def made(plan=(), **options):
    transport = LateTransport(LoopbackTransport(new_target()), plan)
    return scripted_edge(bundle=BUNDLE, transport=transport, learn=False, max_tokens=60, **options)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.lists(st.booleans(), max_size=200), st.booleans())
def test_what_was_drafted_is_what_the_doubt_is_about_whenever_answers_come(seed, plan, provisional):
    with made(plan, mode="sprint", seed=seed, temperature=1.0) as edge:
        with edge.stream("Once", provisional=provisional) as stream:
            tokens = [event for event in stream if isinstance(event, Token)]
        completion = stream.completion
    assert [token.doubt for token in tokens] == completion.doubts
    asked = False
    for token in tokens:
        if token.origin in (Origin.ACCEPTED, Origin.CONFIRMED):
            assert token.doubt == doubt_of(token.id)
            asked = token.origin is Origin.CONFIRMED
        elif asked:  # behind a token that stands the target writes one of its own
            assert token.doubt is None
            asked = False
        else:
            assert token.doubt in (SURE, UNSURE), "a draft fell here, of which the reader is not told the id"


@pytest.mark.parametrize(("mode", "doubts"), [("cloud", False), ("exact", False), ("local", True)])
def test_there_is_a_doubt_where_the_device_leads_and_no_other(mode, doubts):
    with made(mode=mode, seed=4) as edge:
        completion = edge.generate("Once")
    wanted = [doubt_of(id_) if doubts else None for id_ in completion.token_ids]
    assert completion.doubts == wanted
    assert completion.as_dict()["doubts"] == wanted


def test_what_is_written_while_the_target_is_away_is_not_doubted():
    with made(mode="sprint", seed=4, budget=0.01) as edge:
        edge.generate("Once", max_tokens=1)
        edge.switch.cut("cut on purpose")
        completion = edge.generate("Once")
    alone = [doubt for doubt, origin in zip(completion.doubts, completion.origins, strict=True) if origin == "alone"]
    assert alone
    assert set(alone) == {None}


def test_what_a_grammar_decides_is_not_doubted():
    with made(mode="local", seed=4) as edge:
        completion = edge.generate("Once", json_schema=json.dumps({"const": "no choice"}))
    assert json.loads(completion.text) == "no choice"
    assert set(completion.doubts) == {None}


@pytest.mark.parametrize("budget", [0.05, 1.0])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, -0.5, 1.5])
def test_a_verifier_that_gives_no_probability_is_not_trusted(wrong, budget):
    """Every token is asked then, however much may be shown, and what was learned stays made of numbers."""
    target = random_script(byte_tokenizer().get_vocab_size())
    broken = {"is": False}
    bundle = scripted_bundle(blurred(target, 0.5), lambda step, draw: wrong if broken["is"] else 0.2)
    transport = LoopbackTransport(ScriptedTarget.of(bundle.manifest, target))
    how = {"seed": 3, "temperature": 1.0, "max_tokens": 40}
    with scripted_edge(bundle=bundle, transport=transport, memory=False, mode="sprint", budget=budget) as edge:
        edge.generate("Once", **how)
        broken["is"] = True
        text = edge.generate("Once", **how)
        assert text.text == edge.generate("Once", mode="cloud", **how).text
        assert set(text.origins) <= {Origin.CONFIRMED, Origin.TARGET}
        assert json.dumps(text.as_dict(), allow_nan=False)
        broken["is"] = False
        assert 0 <= edge.generate("Once", **how).as_dict()["threshold"] <= 1
