"""Warnings name the cause, and only where there is one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_client.decoding.generation import Settings
from edge_client.promise import drift
from edge_client.target.client import Description
from edge_client.testing import LoopbackTransport
from shared.bundle import Calibration, Familiar, Wording
from shared.config import Criterion, Mode, Sampling
from shared.tokenizer import bytes_per_token, encode_prompt
from tests.edge_client.clients import client_of
from tests.edge_client.scripted_device import fake_cloud, fake_device, manifest, tokenizer

TARGET = Description("scripted", "scripted", "scripted", 300, 512, 64, "float32")
FAMILIAR = [Familiar(0.0, 1.0, 64, 0.2, 0.9), Familiar(0.7, 0.9, 64, 1.0, 2.0)]


def test_a_bundle_and_the_target_it_was_made_for_are_no_news():
    assert drift.mismatches(manifest(), TARGET) == []
    assert drift.mismatches(manifest(), None) == []


def test_another_target_and_another_draft_are_named():
    (sentence,) = drift.mismatches(manifest(), replace(TARGET, name="larger", fingerprint="0123456789"))
    assert "trained for scripted" in sentence
    assert "larger (01234567)" in sentence
    coarser = replace(manifest(), calibrated_draft="aa", digests={"draft.onnx": "bb"})
    (sentence,) = drift.mismatches(coarser, TARGET)
    assert "another draft graph" in sentence
    assert drift.mismatches(replace(coarser, calibrated_draft="bb"), TARGET) == []


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


def test_a_device_starts_strict_where_the_calibration_need_not_hold():
    device, client = fake_device(), client_of(LoopbackTransport(fake_cloud()))
    device.manifest = replace(device.manifest, calibration=table(0.2, 0.4))
    settings = Settings(budget=0.05)
    assert device.first_threshold(settings, client) == 0.4
    device.manifest = replace(device.manifest, target_fingerprint="another")
    assert device.first_threshold(settings, client) == 0.05
    assert device.budget(settings, client).threshold == pytest.approx(0.05)


def test_one_budget_learns_from_text_to_text():
    device, client = fake_device(), client_of(LoopbackTransport(fake_cloud()))
    settings = Settings(budget=0.02, max_tokens=60)
    budget = device.budget(settings, client)
    for text in (1, 2):
        generation = device.generate([1, 2, 3], settings, client, budget)
        assert len(list(generation)) == 60
        assert budget.steering.tokens == 60 * text
    assert generation.summary.threshold == budget.threshold
    device_alone = list(device.generate([1, 2, 3], replace(settings, mode=Mode.LOCAL)))
    assert len(device_alone) == 60


def test_advice_to_switch_comes_where_splitting_costs_more_than_it_saves():
    device, client = fake_device(), client_of(LoopbackTransport(fake_cloud()))
    generation = device.generate([1, 2, 3], Settings(max_tokens=20), client)
    list(generation)
    slow = replace(generation.summary, tokens=100, asked=60, calls=60, total_ms=1200.0, target_ms=480.0)
    (sentence,) = drift.advice(Mode.SPRINT, slow, overspent=False)
    for part in ("60 % of the tokens", "12.0 ms", "8.0 ms", "--mode cloud"):
        assert part in sentence
    assert drift.advice(Mode.SPRINT, replace(slow, total_ms=700.0), overspent=False) == []
    assert drift.advice(Mode.SPRINT, replace(slow, held_ms=500.0), overspent=False) == []
    assert drift.advice(Mode.CLOUD, slow, overspent=False) == []
    assert "more is asked" in drift.advice(Mode.SPRINT, replace(slow, asked=0), overspent=True)[0]
