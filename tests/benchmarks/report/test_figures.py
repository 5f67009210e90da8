"""Figures of made-up texts: medians of ratios on the same prompts, means over all tokens, and what is not known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.report.figures import Peaks, Place, Sample, figures_of
from benchmarks.report.paced import Work
from tests.benchmarks.report.made import made_text

PLACE = Place("home", 25.0, 0.0)


def figures(samples, cloud, peaks=None):
    return figures_of(PLACE, "one", True, "window 8", samples, cloud, peaks or Peaks(100.0, 400.0))


def test_speeds_are_compared_prompt_by_prompt_and_by_the_time_of_a_token() -> None:
    cloud = [Sample(n, made_text(range(10), total_ms=100.0 * (1 + n)), Work(10, 0.05, 0.1)) for n in range(5)]
    # Every other prompt, 20 tokens in the cloud's time for 10, then in half of it, then in a quarter.
    own = [
        Sample(n, made_text(range(20), total_ms=100.0 * (1 + n) / 2**i), Work(2, 0.01, 0.02))
        for i, n in enumerate((0, 2, 4))
    ]
    found = figures(own, cloud)
    assert found.speed_up == pytest.approx(4.0)
    assert found.ms_a_token == pytest.approx(6.25)
    assert (found.texts, found.tokens, found.chosen) == (3, 60, "window 8")
    assert found.passes == pytest.approx(0.1)
    assert found.busy_ms == pytest.approx(0.5)
    assert found.cloud_cpu_ms == pytest.approx(1.0)
    assert found.edge_cpu_ms == pytest.approx(0.05)
    assert figures(cloud, cloud).speed_up == 1.0


def test_parts_add_up_to_the_time_that_the_reader_saw() -> None:
    parts = {"draft_ms": 1.0, "verifier_ms": 2.0, "network_ms": 3.0, "target_ms": 4.0}
    text = made_text(range(10), total_ms=15.0, **parts)
    far = replace(text, total_ms=18.0)  # 3 ms of it behind a link that the edge knows nothing of
    found = figures([Sample(0, far, Work())], [Sample(0, text, Work())])
    shown = (found.draft_ms, found.verifier_ms, found.rest_ms, found.network_ms, found.target_ms)
    assert shown == pytest.approx((0.1, 0.2, 0.5, 0.6, 0.4))
    assert sum(shown) == pytest.approx(1.8)


def test_the_target_is_not_waited_for_while_the_device_computes() -> None:
    text = made_text(range(10), total_ms=15.0, draft_ms=5.0, network_ms=2.0, target_ms=14.0)
    found = figures([Sample(0, text, Work())], [Sample(0, text, Work())])
    assert (found.draft_ms, found.rest_ms, found.network_ms, found.target_ms) == pytest.approx((0.5, 0.0, 0.2, 0.8))


def test_drafted_tokens_that_are_not_shown_are_wasted() -> None:
    text = made_text(range(10))
    text = replace(text, summary=replace(text.summary, drafted=25, accepted=3, confirmed=4))
    assert figures([Sample(0, text, Work())], [Sample(0, text, Work())]).wasted == pytest.approx(1.8)


def test_the_same_text_is_the_same_token_for_token() -> None:
    cloud = [Sample(n, made_text([1, 2, 3]), Work()) for n in range(2)]
    own = [Sample(0, made_text([1, 2, 3]), Work()), Sample(1, made_text([1, 2]), Work())]
    assert figures(own, cloud).same_text == 0.5


def test_what_the_system_does_not_tell_is_not_made_up() -> None:
    samples = [Sample(0, made_text(), Work(1, 0.1, None))]
    found = figures(samples, samples, Peaks.of(None, [1, None]))
    assert (found.cloud_cpu_ms, found.edge_peak_mb, found.cloud_peak_mb) == (None, None, None)
    assert Peaks.of(2_000_000, [1_000_000, 3_000_000]) == Peaks(2.0, 4.0)
