"""The documents of a run: what is measured on is learned from never."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cloud_target.distil.documents import identity, names, read
from cloud_target.distil.settings import Settings
from cloud_target.engine.tokens import read_tokens
from cloud_target.training.corpus import UNSEEN, encode_shuffled, hold_out, read_corpus
from shared.errors import InputError

WORDS = st.lists(st.integers(5, 12), min_size=1, max_size=5)


def write(path: Path, documents: list[list[int]]) -> Path:
    path.write_text("\n<|endoftext|>\n".join(" ".join(f"w{i}" for i in d) for d in documents), encoding="utf-8")
    return path


@given(texts=st.lists(WORDS, min_size=30, max_size=60), dev=st.none() | st.lists(WORDS, min_size=9, max_size=20))
def test_no_document_is_both_and_the_fifth_for_prepare_is_left_alone(
    checkpoints: Path, tmp_path_factory: pytest.TempPathFactory, texts: list[list[int]], dev: list[list[int]] | None
) -> None:
    place = tmp_path_factory.mktemp("corpus")
    settings = Settings("pocket", (write(place / "a.txt", texts),), place / "out")
    settings = replace(settings, dev=(write(place / "b.txt", dev),)) if dev else settings
    tokenizer = read_tokens(checkpoints / "target").tokenizer
    try:
        found = read(settings, tokenizer)
    except InputError:  # too few
        assume(False)
    train, held = ({document.tobytes() for document in part} for part in (found.train, found.held))
    assert not train & held
    seen, unseen = hold_out(encode_shuffled(tokenizer, read_corpus(settings.corpus))[0], UNSEEN)
    assert train == {document.tobytes() for document in seen if len(document) > 2}
    assert held <= ({document.tobytes() for document in unseen} if not dev else held)
    assert all(len(document) > 2 for document in (*found.train, *found.held))


def test_files_are_known_by_their_bytes(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a.txt", [[5, 6]]), write(tmp_path / "b.txt", [[5, 6]])
    settings = Settings("pocket", (one,), tmp_path / "out")
    assert identity(settings) == identity(replace(settings, corpus=(other,)))
    assert identity(settings) != identity(replace(settings, corpus=(write(tmp_path / "c.txt", [[5, 7]]),)))
    assert list(names(settings)) == ["a.txt"]
