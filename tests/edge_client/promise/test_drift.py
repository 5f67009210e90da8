"""Warnings name the cause, and only where there is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.testing.in_process import InProcessTarget
from edge_client.promise import drift
from edge_client.settings import Settings
from edge_client.target.client import Description
from edge_client.testing import LoopbackTransport
from edge_client.usage.summary import Summary
from shared.calibration import SPREAD, Calibration, Doubts, Familiar, Wording
from shared.config import CRITERIA_REVISION, Criterion, Mode, Sampling
from shared.rounding import Disagreement
from shared.tokenizer import bytes_per_token, encode_prompt
from tests.edge_client.scripted_device import CONTEXT, fake_bundle, fake_edge, manifest, script, tokenizer

TYPICAL = Criterion.TYPICAL
TARGET = Description("scripted", "scripted", "scripted", 300, 512, 64, "float32")
FAMILIAR = [Familiar(0.0, 1.0, 64, 0.2, 0.9), Familiar(0.7, 0.9, 64, 1.0, 2.0)]


def doubts(criterion: Criterion) -> Doubts:
    return Doubts(criterion, 0.7, 0.9, np.linspace(-6.0, 0.0, SPREAD).tolist())


def test_a_bundle_and_the_target_it_was_made_for_are_no_news():
    assert drift.mismatches(manifest(), TARGET, TYPICAL) == []
    assert drift.mismatches(manifest(), None, TYPICAL) == []


MEASURED = [Disagreement(0.7, 0.9, 0.014, 0.0, 2000), Disagreement(1.0, 1.0, 0.031, 0.002, 2000)]
HALF = replace(TARGET, dtype="bfloat16")


def noise(target: Description | None, measured: str = "bfloat16", **options: object) -> list[str]:
    bundle = replace(manifest(), target_dtype=measured, disagreement=MEASURED if measured == "bfloat16" else [])
    return drift.rounding(bundle, target, Settings(**options))


def test_a_budget_below_what_the_target_is_unsure_of_itself_is_told_of():
    (sentence,) = noise(HALF, criterion="strict", budget=0.01)
    assert "disagrees with itself at 1.4 % of tokens in bfloat16 (by strict)" in sentence
    assert "a budget of 1 % cannot be told from its noise" in sentence
    assert sentence.endswith("serve it in float32, or ask for 3 %")
    assert "at 3.1 %" in noise(HALF, criterion="strict", budget=0.01, temperature=1.0, top_p=1.0)[0]
    assert "at 0.2 %" in noise(HALF, budget=0.001, temperature=1.0, top_p=1.0)[0]


@pytest.mark.parametrize(
    ("target", "options"),
    [
        (HALF, {"criterion": "strict", "budget": 0.014}),
        (HALF, {"criterion": "typical", "budget": 0.001}),
        (HALF, {"criterion": "strict", "budget": 0.0}),
        (HALF, {"criterion": "strict", "budget": 0.01, "coupling": "residual"}),
        (replace(HALF, repeatable=True), {"criterion": "strict", "budget": 0.01}),
        (replace(HALF, fingerprint="other"), {"criterion": "strict", "budget": 0.01}),
        (None, {"criterion": "strict", "budget": 0.01}),
    ],
)
def test_of_a_budget_that_can_be_told_from_the_noise_nothing_is_said(target, options):
    assert noise(target, **options) == []


def test_a_target_in_another_arithmetic_than_it_was_measured_in_is_named_where_that_counts():
    (sentence,) = noise(HALF, measured="float32", criterion="strict", budget=0.05)
    assert "in float32, and this target computes in bfloat16" in sentence
    assert noise(HALF, measured="float32", criterion="typical", budget=0.01) == []
    assert noise(replace(TARGET, repeatable=True), criterion="strict", budget=0.01) == []


def test_the_noise_of_a_target_is_told_of_once():
    def engine() -> ScriptedEngine:
        found = ScriptedEngine(script("target"), tokenizer().get_vocab_size(), context=CONTEXT)
        found.description = replace(found.description, dtype="bfloat16", repeatable=False)
        return found

    bundle = fake_bundle(target_dtype="bfloat16", disagreement=MEASURED)
    transport = LoopbackTransport(InProcessTarget(engine))
    with fake_edge(transport, bundle=bundle, max_tokens=4, criterion="strict") as edge:
        found = [[line for line in edge.generate([1, 2, 3]).warnings if "itself" in line] for _ in range(3)]
    assert list(map(len, found)) == [1, 0, 0]


def test_another_target_and_another_draft_are_named():
    (sentence,) = drift.mismatches(manifest(), replace(TARGET, name="larger", fingerprint="0123456789"), TYPICAL)
    assert "trained for scripted" in sentence
    assert "larger (01234567)" in sentence
    coarser = replace(manifest(), calibrated_draft="aa", digests={"draft.onnx": "bb"})
    (sentence,) = drift.mismatches(coarser, TARGET, TYPICAL)
    assert "another draft graph" in sentence
    assert drift.mismatches(replace(coarser, calibrated_draft="bb"), TARGET, TYPICAL) == []


def test_a_table_that_was_measured_with_another_meaning_of_typical_is_named():
    table = [Calibration(c, 0.7, 0.9, 0.01, 0.2, 0.01, 0.1, 1000, criteria=1) for c in Criterion]
    bundle = replace(manifest(), calibration=table, doubts=[doubts(criterion) for criterion in Criterion])
    (sentence,) = drift.mismatches(bundle, TARGET, TYPICAL)
    assert "typical counted other tokens" in sentence
    assert drift.mismatches(bundle, TARGET, Criterion.STRICT) == []
    bundle = replace(bundle, calibration=[replace(cell, criteria=CRITERIA_REVISION) for cell in table])
    assert drift.mismatches(bundle, TARGET, TYPICAL) == []


def test_a_calibrated_bundle_that_does_not_say_how_a_device_begins_is_named():
    bundle = replace(manifest(), calibration=[Calibration(TYPICAL, 0.7, 0.9, 0.01, 0.2, 0.01, 0.1, 1000)])
    (sentence,) = drift.mismatches(bundle, TARGET, TYPICAL)
    assert "does not say what its verifier's doubts by typical are like" in sentence
    assert drift.mismatches(replace(bundle, doubts=[doubts(TYPICAL)]), TARGET, TYPICAL) == []


@pytest.mark.parametrize(
    ("temperature", "steps", "entropy", "is_news"),
    [(0.7, 64, 1.5, False), (0.7, 64, 2.1, True), (0.7, 64, 0.9, True), (0.7, 63, 9.0, False), (0.1, 80, 0.5, False)],
)
def test_text_is_compared_with_that_of_the_nearest_sampling(temperature, steps, entropy, is_news):
    sampling = Sampling(temperature=temperature, top_p=0.9)
    found = drift.unfamiliar_text(replace(manifest(), familiar=FAMILIAR), sampling, steps, entropy)
    assert bool(found) is is_news
    assert drift.unfamiliar_text(manifest(), sampling, steps, entropy) == []


def test_a_prompt_of_other_words_is_news():
    known = replace(manifest(), wording=Wording(6, 2.0, 5.0))
    usual, unusual = (
        encode_prompt(tokenizer(), text) for text in ("The little girl went to the park. " * 3, "qxzkvj " * 9)
    )
    assert bytes_per_token(tokenizer(), usual) > bytes_per_token(tokenizer(), unusual)
    known = replace(manifest(), wording=Wording(6, bytes_per_token(tokenizer(), usual) - 0.1, 9.0))
    assert drift.unfamiliar_prompt(known, tokenizer(), usual) == []
    (sentence,) = drift.unfamiliar_prompt(known, tokenizer(), unusual)
    assert "unlike those that the bundle fake" in sentence
    assert drift.unfamiliar_prompt(known, tokenizer(), unusual[:5]) == []
    assert drift.unfamiliar_prompt(manifest(), tokenizer(), unusual) == []


def table(*thresholds: float) -> list[Calibration]:
    return [
        Calibration(Criterion.TYPICAL, 0.7, 0.9, budget, threshold, budget, 0.1, 1000)
        for budget, threshold in zip((0.01, 0.05), thresholds, strict=True)
    ]


def test_an_edge_starts_strict_where_the_calibration_need_not_hold(tmp_path):
    thresholds = {}
    for target in ("scripted", "another"):
        usual = [Doubts(TYPICAL, 0.7, 0.9, np.linspace(-6, 0, SPREAD).tolist())]
        bundle = fake_bundle(calibration=table(0.2, 0.4), doubts=usual, target_fingerprint=target)
        with fake_edge(bundle=bundle, memory=tmp_path, budget=0.05, max_tokens=1, audit=False) as edge:
            completion = edge.generate([1, 2, 3])
        assert bool(completion.warnings) is (target == "another")
        thresholds[target] = completion.usage.threshold
    # One accepted token that nobody audited, or one of the target's own: either moves the threshold only a little.
    assert 0 < thresholds["another"] < 0.5 * thresholds["scripted"]


def test_the_worse_a_text_is_worded_the_less_it_is_like_the_calibrated_ones():
    """Bytes that a token stands for, beyond the usual; of the last tokens, and only once there are enough."""
    ids = encode_prompt(tokenizer(), "The little girl went to the park. " * 8)
    each = bytes_per_token(tokenizer(), ids[-drift.LATELY :])
    for low, high, expected in ((0.0, each + 1, 0.0), (each + 0.5, 99.0, 0.5), (0.0, each - 0.25, 0.25)):
        known = replace(manifest(), wording=Wording(6, low, high))
        assert drift.unlike(known, tokenizer(), ids) == pytest.approx(expected)
        assert drift.unlike(known, tokenizer(), ids[:5]) == 0.0
    assert drift.unlike(manifest(), tokenizer(), ids) == 0.0
    strange = encode_prompt(tokenizer(), "qxzkvj " * 40)
    known = replace(manifest(), wording=Wording(6, each, 99.0))
    # What the text began with is soon forgotten.
    assert drift.unlike(known, tokenizer(), ids + strange) == drift.unlike(known, tokenizer(), strange) > 0


def test_a_promise_learns_from_text_to_text():
    with fake_edge(budget=0.02, max_tokens=60) as edge:
        first, second = (edge.generate([1, 2, 3]) for _ in range(2))
        assert (first.audit.tokens, second.audit.tokens) == (60, 60)
        (entry,) = edge._kit.memory()[0].entries.values()
        assert (entry.texts, entry.steering.account.tokens) == (2, 120)
        assert entry.steering.evidence.doubts >= first.usage.audited + second.usage.audited
        assert edge.generate([1, 2, 3], mode="local").usage.tokens == 60


def test_advice_to_switch_comes_where_splitting_costs_more_than_it_saves():
    usage = fake_edge().generate([1, 2, 3], max_tokens=20).usage

    def slow(asked: int = 60, **times: float) -> Summary:
        counts = replace(usage.audit, shown=100, asked=asked)
        return replace(
            usage, audit=counts, calls=60, times=replace(usage.times, total_ms=1200.0, target_ms=480.0, **times)
        )

    (sentence,) = drift.advice(Mode.SPRINT, slow(), overdrawn=False)
    for part in ("60 % of the tokens", "12.0 ms", "8.0 ms", "mode cloud"):
        assert part in sentence
    fast = replace(slow(), times=replace(slow().times, total_ms=700.0))
    assert drift.advice(Mode.SPRINT, fast, overdrawn=False) == []
    assert drift.advice(Mode.SPRINT, slow(held_ms=500.0), overdrawn=False) == []
    assert drift.advice(Mode.CLOUD, slow(), overdrawn=False) == []
    assert "every token is asked" in drift.advice(Mode.SPRINT, slow(asked=0), overdrawn=True)[0]
