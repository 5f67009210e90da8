"""What a target is unsure of itself: which figure counts, and what a manifest may say of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import Criterion, Sampling
from shared.errors import BundleError
from shared.manifest import glance, write_manifest
from shared.rounding import Disagreement, by_rounding, floor, told_apart
from tests.edge_client.made_bundles import made_bundle

WAYS = [
    Disagreement(0.0, 1.0, 0.002, 0.0, 512),
    Disagreement(0.7, 0.9, 0.014, 0.001, 2048),
    Disagreement(0.7, 1.0, 0.016, 0.002, 2048),
    Disagreement(1.0, 1.0, 0.03, 0.004, 2048),
]


@pytest.mark.parametrize(
    ("temperature", "top_p", "strict", "typical"),
    [
        (0.0, 1.0, 0.002, 0.0),
        (0.5, 0.9, 0.014, 0.001),
        (0.7, 0.95, 0.014, 0.001),
        (0.7, 0.99, 0.016, 0.002),
        (0.8, 0.9, 0.03, 0.004),
        (2.0, 1.0, 0.03, 0.004),
    ],
)
def test_between_two_temperatures_the_larger_one_counts(temperature, top_p, strict, typical):
    sampling = Sampling(temperature, 0, top_p)
    assert floor(WAYS, Criterion.STRICT, sampling) == strict
    assert floor(WAYS, Criterion.TYPICAL, sampling) == typical
    assert floor([], Criterion.STRICT, sampling) == 0


@given(st.floats(1e-6, 0.4))
def test_a_budget_that_can_be_told_from_it_is_twice_as_large_in_whole_per_cent(share):
    budget = told_apart(share)
    assert 2 * share - 1e-6 <= budget < 2 * share + 0.01
    assert round(100 * budget) == pytest.approx(100 * budget)


def test_it_stands_in_the_manifest_where_there_is_something_to_say_only(tmp_path):
    directory = made_bundle(tmp_path)
    plain = glance(directory)
    assert (plain.target_dtype, plain.disagreement) == ("float32", [])
    write_manifest(directory, plain)
    text = (tmp_path / directory / "manifest.json").read_text()
    assert not any(name in text for name in ("target_dtype", "disagreement"))
    half = replace(plain, target_dtype="bfloat16", disagreement=WAYS)
    write_manifest(directory, half)
    assert (found := glance(directory)).disagreement == WAYS
    assert found.target_dtype == "bfloat16"
    for broken, said in (
        (replace(WAYS[0], strict=1.5), r"`disagreement\[0\].strict` must be a number from 0 to 1"),
        (replace(WAYS[0], tokens=0), r"`disagreement\[0\].tokens` must be a whole number above 0"),
    ):
        write_manifest(directory, replace(half, disagreement=[broken]))
        with pytest.raises(BundleError, match=said):
            glance(directory)


def test_people_are_told_of_each_way_of_sampling():
    assert by_rounding(WAYS[1:2]) == (
        "at temperature 0.7, top-p 0.9 1.4 % of 2,048 tokens by strict and 0.1 % by typical"
    )
