"""Texts of a device with several verifiers: the promise is kept, and the one that the audits bear out writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.decoding.questions import WINDOWS_AHEAD
from edge_client.edge import Edge
from edge_client.promise import standing
from edge_client.promise.memory import Memory
from shared.calibration import Wording
from shared.config import Criterion
from shared.errors import InputError
from shared.manifest import Domain
from shared.steering.ledger import most_errors
from tests.edge_client.domains.heads import Device, blind, contrary, knowing

pytestmark = pytest.mark.slow

BAD = st.sampled_from([blind, contrary])


def written(edge: Edge, texts: int, first: int = 0, **options: object) -> Iterator:
    """Texts, one after the other."""
    for seed in range(first, first + texts):
        yield edge.generate("Once", seed=seed, **options)


@settings(max_examples=5, deadline=None)
@given(BAD, st.booleans(), st.sampled_from([0.02, 0.05]), st.sampled_from(Criterion), st.booleans(), st.integers(0, 99))
def test_the_budget_is_kept_and_the_text_ends_on_the_good_one(bad, is_first, budget, criterion, learns, seed):
    doubts = {"general": knowing, "letters": bad} if is_first else {"general": bad, "letters": knowing}
    good = "general" if is_first else "letters"
    with Device(doubts).edge(budget=budget, criterion=criterion, learn=learns) as edge:
        texts = list(written(edge, 4, 100 * seed))
    tokens = sum(text.usage.tokens for text in texts)
    off = sum(text.audit.counts.off(criterion) for text in texts)
    assert off <= most_errors(budget, tokens) + WINDOWS_AHEAD * edge.settings.effective_window
    assert off / tokens < 1.5 * budget + 0.01
    assert list(texts[-1].verifiers) == [good]
    wrote = {name: sum(text.verifiers.get(name, 0) for text in texts) for name in doubts}
    assert wrote[good] > 0.7 * sum(wrote.values())


@settings(max_examples=4, deadline=None)
@given(st.permutations(["general", "letters", "poems"]), st.sampled_from(Criterion), st.booleans())
def test_the_budget_is_kept_whoever_writes_and_however_often_that_changes(turns, criterion, learns):
    device, leaders, budget = Device({"general": blind, "letters": contrary, "poems": knowing}), cycle(turns), 0.04
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standing, "leader", lambda *_: next(leaders))
        with device.edge(budget=budget, criterion=criterion, learn=learns) as edge:
            texts = list(written(edge, 4))
    tokens = sum(text.usage.tokens for text in texts)
    off = sum(text.audit.counts.off(criterion) for text in texts)
    assert all(len(text.verifiers) == 3 for text in texts)
    assert off <= most_errors(budget, tokens) + WINDOWS_AHEAD * edge.settings.effective_window
    assert off / tokens < 1.5 * budget + 0.01


def test_to_choose_costs_hardly_more_questions_than_to_know():
    asked = {}
    for name, doubts in {"good": {"general": knowing}, "bad": {"general": contrary}, "both": None}.items():
        with Device(doubts or {"general": contrary, "letters": knowing}).edge(budget=0.03) as edge:
            counts = [text.audit.counts for text in written(edge, 6)]
        asked[name] = sum(one.asked for one in counts) / sum(one.shown for one in counts)
    assert asked["good"] <= asked["both"] + 0.02
    assert asked["both"] < asked["good"] + 0.4 * (asked["bad"] - asked["good"])


@settings(max_examples=8, deadline=None)
@given(st.lists(st.booleans(), max_size=300), st.integers(0, 2**32), st.booleans())
def test_when_answers_arrive_changes_neither_the_text_nor_who_wrote_it(plan, seed, learns):
    device = Device({"general": blind, "letters": knowing})
    at_once, late = (
        device.edge(arrivals, budget=0.05, learn=learns).generate("Once", seed=seed, max_tokens=100)
        for arrivals in ((), plan)
    )
    assert len(at_once.verifiers) <= 2
    assert (at_once.token_ids, at_once.doubts, at_once.verifiers) == (late.token_ids, late.doubts, late.verifiers)


def test_others_are_run_once_an_answer_and_a_fixed_one_alone():
    device = Device({"general": knowing, "letters": blind, "poems": contrary})
    edge = device.edge(budget=0.05)
    text = edge.generate("Once")
    heads = device.heads[0]
    assert list(text.verifiers) == ["general"]
    for name in ("letters", "poems"):
        assert heads[name].alone == 0
        assert 0 < heads[name].runs <= text.usage.calls
        assert heads[name].rows == text.verifiers["general"]
    before = {name: (head.alone, head.runs) for name, head in heads.items()}
    fixed = edge.generate("Once", domain="letters")
    assert fixed.verifiers == {"letters": heads["letters"].alone - before["letters"][0]}
    assert all((heads[name].alone, heads[name].runs) == before[name] for name in ("general", "poems"))
    assert heads["letters"].runs == before["letters"][1]


def test_with_one_verifier_nothing_is_kept_looked_at_or_told():
    device = Device({"general": knowing})
    text = device.edge(budget=0.05).generate("Once")
    assert text.verifiers is None
    assert device.heads[0]["general"].runs == 0
    with pytest.raises(InputError, match="no verifier for the domain 'letters'; give auto, or one of general"):
        device.edge(domain="letters").generate("Once")


@pytest.mark.parametrize("mode", ["local", "exact", "cloud", "sprint", "auto"])
def test_every_mode_can_be_written_with_several(mode):
    edge = Device({"general": blind, "letters": knowing}).edge()
    for domain in ("auto", "letters"):
        text = edge.generate("Once", mode=mode, domain=domain, max_tokens=40)
        assert text.usage.tokens == 40
        assert text.verifiers is not None
        if domain == "letters":
            assert set(text.verifiers) <= {"letters"}


@pytest.mark.parametrize("strict_structure", [False, True])
def test_a_text_that_keeps_to_a_grammar_may_have_several(strict_structure):
    edge = Device({"general": contrary, "letters": knowing}, end_ids=[0, 1]).edge(budget=0.05)
    for seed in range(2):
        text = edge.generate("Once", regex="([a-f ]{20}[0-9])+", strict_structure=strict_structure, seed=seed)
    assert re.match("([a-f ]{20}[0-9])+", text.text)
    assert list(text.verifiers) == ["letters"]
    assert text.audit.counts.off_typical <= most_errors(0.05, text.usage.tokens)


def test_a_prompt_worded_like_one_of_them_begins_with_that_one():
    usual, unusual = Wording(4, 1.0, 1.0), Wording(4, 3.0, 5.0)  # a byte is a token here
    device = Device({"general": blind, "letters": blind}, wording=unusual, domains=[Domain("letters", wording=usual)])
    assert list(device.edge(mode="local").generate("Once upon a time").verifiers) == ["letters"]
    assert list(device.edge(mode="local").generate("O").verifiers) == ["general"]  # too short to tell
    said = device.edge(budget=0.02).generate("Once upon a time", max_tokens=20).warnings
    assert not any("calibrated on" in sentence for sentence in said)
    nobody = replace(
        device.bundle, manifest=replace(device.bundle.manifest, domains=[Domain("letters", wording=unusual)])
    )
    said = device.edge(budget=0.02, bundle=nobody).generate("Once upon a time", max_tokens=20).warnings
    assert sum("calibrated on" in sentence for sentence in said) == 1


def test_what_was_learned_outlives_the_process_and_each_verifier_has_its_own(tmp_path):
    device = Device({"general": contrary, "letters": knowing})
    with device.edge(budget=0.02, memory=tmp_path, learn=True) as edge:
        first = list(written(edge, 3))
    assert next(iter(first[0].verifiers)) == "general"
    assert list(first[-1].verifiers) == ["letters"]
    with device.edge(budget=0.02, memory=tmp_path, learn=True) as edge:
        again = edge.generate("Once", seed=9)
        fixed = edge.generate("Once", seed=9, domain="general")
        elsewhere = edge.generate("Once", seed=9, budget=0.03)
    assert list(again.verifiers) == list(elsewhere.verifiers) == ["letters"]
    assert list(fixed.verifiers) == ["general"]
    entry, other = Memory.open(device.bundle.manifest, tmp_path).entries.values()
    assert entry.losses == {"general": standing.MOST_CARRIED, "letters": 0.0}
    assert entry.texts == 5
    # All drafted tokens taught both, but those of the text that the general one wrote alone.
    general, letters = entry.of("general"), entry.of("letters")
    assert general.evidence.doubts > letters.evidence.doubts > 0
    assert general.evidence != letters.evidence
    assert general.correction.weights != letters.correction.weights
    assert other.of("letters").evidence.doubts >= letters.evidence.doubts
    tokens = sum(text.audit.counts.known for text in [*first, again, fixed])
    assert entry.steering.account.tokens == tokens == entry.counts.known
