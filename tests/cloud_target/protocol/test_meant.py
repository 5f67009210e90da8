"""Which of the targets here a session means, and what becomes of one that means another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_target.engine.interface import Description
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.protocol.meant import meant, targets_of
from cloud_target.protocol.requests import Limits, parse_terms
from cloud_target.testing.in_process import InProcessTarget
from shared.config import Coupling, Sampling
from shared.errors import OtherTarget, ProtocolError
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire

HERE = Description("pocket", "51c9adf4" * 4, "t", 10, "float32")
BESIDE = replace(HERE, name="pocket-legal", fingerprint="77aa77aa" * 4)
ANOTHER = "1a9ebb55" * 4
LIMITS = Limits(vocabulary=10, context=20, max_request_tokens=20)


def naming(target: str, end_ids: tuple[int, ...] = (1,)) -> wire.DecodeRequest:
    session = codec.encode_session(b"s" * 16, Sampling(), Coupling.GUMBEL, end_ids)
    session.target = target
    return wire.DecodeRequest(session=session, request_id=1, tokens=[1, 2], audit_from=1, judge_from=2)


def test_it_is_the_one_with_that_fingerprint_or_the_first_where_none_is_named():
    assert meant(HERE.fingerprint, (HERE, BESIDE)) is HERE
    assert meant(BESIDE.fingerprint, (HERE, BESIDE)) is BESIDE
    assert meant("", (HERE, BESIDE)) is HERE


@pytest.mark.parametrize("wanted", [ANOTHER, HERE.fingerprint[:8], HERE.fingerprint.upper(), HERE.fingerprint + "0"])
def test_any_other_is_refused_in_a_sentence_that_names_both(wanted):
    with pytest.raises(OtherTarget) as caught:
        meant(wanted, (HERE, BESIDE))
    sentence = str(caught.value)
    assert f"a text of the target {wanted[:8]}" in sentence
    assert "here is pocket (51c9adf4) or pocket-legal (77aa77aa)" in sentence
    assert "begin it anew" in sentence


@pytest.mark.parametrize("wanted", ["f" * 65, "\x1b[2J", "é", "a\nb"])
def test_what_is_no_fingerprint_is_against_the_contract_and_not_said_again(wanted):
    with pytest.raises(ProtocolError) as caught:
        meant(wanted, (HERE,))
    assert wanted not in str(caught.value)


def test_it_is_looked_at_before_what_another_target_would_allow():
    """A larger vocabulary's ids, say: the edge is to learn what is wrong, and not that it breaks a rule here."""
    with pytest.raises(OtherTarget):
        parse_terms(naming(ANOTHER, (99,)), LIMITS, targets=(HERE,))


def test_the_terms_say_who_is_meant_and_differ_between_two():
    named, unnamed, beside = (
        parse_terms(naming(target), LIMITS, targets=(HERE, BESIDE))
        for target in (HERE.fingerprint, "", BESIDE.fingerprint)
    )
    assert named.target == unnamed.target == HERE.fingerprint
    assert named == unnamed != beside


def test_nothing_is_read_or_remembered_of_a_text_that_means_another_target():
    target = InProcessTarget(lambda: ScriptedEngine(random_script(10), 10))
    assert [one.fingerprint for one in targets_of(target.engine)] == [target.describe().fingerprint]
    with pytest.raises(OtherTarget):
        list(target.stream().answers(naming(ANOTHER)))
    assert (target.engine.passes, len(target.table)) == (0, 0)
    assert list(target.stream().answers(naming(target.describe().fingerprint)))
