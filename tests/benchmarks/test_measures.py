"""Measures against their definitions, written out the slow way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measures import common_subsequence, distinctness, repetition, rouge_l

texts = st.lists(st.integers(0, 4), max_size=12)


def slow_common_subsequence(a: Sequence[int], b: Sequence[int]) -> int:
    @cache
    def best(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        if a[i] == b[j]:
            return 1 + best(i + 1, j + 1)
        return max(best(i + 1, j), best(i, j + 1))

    return best(0, 0)


@given(texts, texts)
def test_the_longest_common_subsequence(a, b):
    assert common_subsequence(a, b) == slow_common_subsequence(a, b)


@given(texts, texts)
def test_rouge_l_is_a_similarity(a, b):
    assert 0 <= rouge_l(a, b) <= 1
    assert rouge_l(a, b) == rouge_l(b, a)
    assert rouge_l(a, a) == 1
    if a and b:
        recall, precision = (slow_common_subsequence(a, b) / len(text) for text in (a, b))
        f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0
        assert rouge_l(a, b) == pytest.approx(f1)


@given(texts, st.integers(1, 5))
def test_repetition_counts_what_occurred_before(text, n):
    grams = [text[i : i + n] for i in range(len(text) - n + 1)]
    before = [gram in grams[:i] for i, gram in enumerate(grams)]
    assert repetition(text, n) == (pytest.approx(sum(before) / len(before)) if before else None)


@given(texts)
def test_distinctness_counts_pairs_once(text):
    pairs = list(pairwise(text))
    assert distinctness(text) == (pytest.approx(len(set(pairs)) / len(pairs)) if pairs else None)
