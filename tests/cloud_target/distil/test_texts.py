"""What is learned from is made in parts: together what was asked for, each kept as soon as it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.distil import texts
from cloud_target.distil.models import Models
from cloud_target.distil.settings import Settings
from cloud_target.distil.texts import PART, WIDTH
from cloud_target.distil.writing import FromDocuments
from cloud_target.training.work import Stage, Work
from tests.cloud_target.distil.conftest import documents


@given(tokens=st.integers(1, 50 * PART))
def test_parts_of_own_text_are_together_what_was_asked_for(tokens: int) -> None:
    sizes = texts._sizes(tokens, texts.PART)
    assert sum(sizes) == tokens
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 1.5 * PART


@given(
    lengths=st.lists(st.integers(3, 3 * WIDTH), min_size=1, max_size=200),
    tokens=st.integers(1, 6 * PART),
    width=st.integers(8, WIDTH),
)
def test_parts_of_the_corpus_are_its_first_documents(lengths: list[int], tokens: int, width: int) -> None:
    corpus = [np.full(length, number, np.uint16) for number, length in enumerate(lengths)]
    parts = list(texts._corpus_parts(corpus, tokens, width))
    found = [document for part in parts for document in part.texts()]
    assert [int(document[0]) for document in found] == list(range(len(found)))
    assert [len(document) for document in found] == [min(length, width) for length in lengths[: len(found)]]
    size = sum(map(len, found))
    assert size == sum(part.tokens for part in parts)
    assert size < tokens + width
    assert len(found) == len(lengths) or size >= tokens
    assert all(part.tokens < PART + width for part in parts)
    assert len({part.name for part in parts}) == len(parts)


@pytest.mark.slow
def test_a_part_that_is_whole_is_made_once(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "PART", 100)
    settings = replace(settings, own_tokens=300, corpus_tokens=150)
    models, corpus, asked = Models(settings), documents(40), [0]
    ask = texts.ask_teacher

    def counted(target: object, found: Sequence[np.ndarray]) -> object:
        asked[0] += 1
        if asked[0] == 3:
            raise KeyboardInterrupt
        return ask(target, found)

    def make() -> list[Stage]:
        with Work.open(tmp_path / "work", 1, told.append) as work:
            return texts.make(work, models, FromDocuments(models, corpus), corpus, settings, told.append)

    told: list[str] = []
    monkeypatch.setattr(texts, "ask_teacher", counted)
    with pytest.raises(KeyboardInterrupt):
        make()
    stages = make()
    assert len(stages) == 5
    assert asked[0] == 6  # one of them in vain
    assert sum("until all parts are there" in line for line in told) == 6
    targets = texts.load(stages)
    assert len(targets.ids) == targets.lengths.sum() >= 450
    assert len(texts.load(make()).ids) == len(targets.ids)
    assert asked[0] == 6
