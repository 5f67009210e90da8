"""A document is in one split only, however often and wherever it is given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer

from cloud_target.prepare.documents import SPLITS, read_split, split_documents
from cloud_target.prepare.settings import Settings
from cloud_target.training.corpus import UNSEEN, as_chat, encode_corpus, hold_out
from cloud_target.training.tokenizer import train_tokenizer
from cloud_target.training.work import Stage, Work
from shared.errors import InputError

SEPARATOR = "\n<|endoftext|>\n"


def dialogue(number: int) -> str:
    return f"User: Is table {number} free?\nAssistant: It is, at {number % 12}.\nUser: Thank you."


def story(number: int) -> str:
    return f"Fox number {number} lost its hat."


def write(path: Path, documents: list[str]) -> Path:
    path.write_text(SEPARATOR.join(documents), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    texts = [make(number) for number in range(40) for make in (dialogue, story)]
    return train_tokenizer([write(tmp_path_factory.mktemp("tokenizer") / "texts.txt", texts)], vocabulary=320)


def split(tokenizer: Tokenizer, place: Path, said: list[str], **settings) -> dict[str, list[str]]:
    """The texts of each split, dialogues in the form that they were given."""
    pair = SimpleNamespace(tokenizer=tokenizer, draft_key={"tokenizer": "t"})
    with Work.open(place / "work", 1, said.append) as work:
        asked = Settings("target", "draft", out=place / "out", **settings)
        stage: Stage = split_documents(work, pair, asked, said.append)
    return {name: decoded(tokenizer, read_split(stage, name)) for name in SPLITS}


def decoded(tokenizer: Tokenizer, documents: list[np.ndarray]) -> list[str]:
    return [tokenizer.decode(ids[1:], skip_special_tokens=False) for ids in documents]


def plain(documents: dict[str, list[str]], texts: list[str]) -> list[str]:
    """All documents of all splits, each as the text that it was made from."""
    made_from = {as_chat(text): text for text in texts} | {text: text for text in texts}
    return [made_from[document] for part in documents.values() for document in part]


@pytest.mark.parametrize("seed", range(4))
def test_the_two_forms_of_a_dialogue_are_one_document(tokenizer: Tokenizer, tmp_path: Path, seed: int) -> None:
    texts, said = [dialogue(number) for number in range(20)], []
    first, second = write(tmp_path / "a.txt", texts[:15] + texts[:3]), write(tmp_path / "b.txt", texts[10:])
    found = split(tokenizer, tmp_path, said, corpus=(first, second), seed=seed)
    assert sorted(plain(found, texts)) == sorted(texts)
    assert said == ["  repeated documents dropped: 8 of the corpus"]
    once = split(tokenizer, tmp_path / "once", [], corpus=(write(tmp_path / "c.txt", texts),), seed=seed)
    assert found == once


def test_what_trains_is_not_held_out(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts, said = [dialogue(number) for number in range(30)], []
    corpus, dev = write(tmp_path / "a.txt", texts[:20]), write(tmp_path / "b.txt", [*texts[15:], texts[-1]])
    found = split(tokenizer, tmp_path, said, corpus=(corpus,), dev=(dev,))
    assert {name: len(part) for name, part in found.items()} == {"train": 20, "calibrate": 5, "report": 5}
    assert sorted(plain(found, texts)) == sorted(texts)
    assert said == ["  repeated documents dropped: 6 of the held-out files"]


def test_both_counts_are_told_before_too_few_are_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    said: list[str] = []
    corpus = write(tmp_path / "a.txt", [story(number % 10) for number in range(20)])
    with pytest.raises(InputError, match=r"held-out files holds 0 different documents.*at least 8 are needed"):
        split(tokenizer, tmp_path, said, corpus=(corpus,), dev=(corpus,))
    assert said == ["  repeated documents dropped: 10 of the corpus, 20 of the held-out files"]
    with pytest.raises(InputError, match="the corpus holds 10 different documents"):
        split(tokenizer, tmp_path, said, corpus=(corpus,))


def test_the_unseen_fifth_stays_that_of_the_models_without_what_they_saw(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts, said = [dialogue(number % 300) for number in range(400)], []
    corpus, dev = write(tmp_path / "a.txt", texts), write(tmp_path / "b.txt", [*map(story, range(10)), texts[0]])
    found = split(tokenizer, tmp_path, said, corpus=(corpus,), dev=(dev,), unseen=True, seed=1)
    known = [*set(texts), *map(story, range(10))]
    encoded = hold_out(encode_corpus(tokenizer, [corpus]), UNSEEN)
    seen, unseen = (set(plain({"": decoded(tokenizer, part)}, known)) for part in encoded)
    trained = plain({"": found["train"]}, known)
    assert sorted(trained) == sorted(unseen - seen)
    assert said == [f"  repeated documents dropped: {80 - len(trained)} of the corpus, 1 of the held-out files"]
    assert 0 < len(trained) < 80


@pytest.mark.parametrize("unseen", [False, True])
def test_documents_without_repeats_are_drawn_as_ever(tokenizer: Tokenizer, tmp_path: Path, unseen: bool) -> None:
    texts, said = [dialogue(number) for number in range(200)], []
    corpus, dev = write(tmp_path / "a.txt", texts), write(tmp_path / "b.txt", list(map(story, range(20))))
    found = split(tokenizer, tmp_path, said, corpus=(corpus,), dev=(dev,), unseen=unseen, seed=3)
    train, held = encode_corpus(tokenizer, [corpus], 0 if unseen else 3), encode_corpus(tokenizer, [dev], 3)
    if unseen:
        train = hold_out(train, UNSEEN)[1]
        train = [train[i] for i in np.random.default_rng(3).permutation(len(train))]
    expected = {"train": train, "calibrate": held[:10], "report": held[10:]}
    for name, part in expected.items():
        assert found[name] == decoded(tokenizer, part)
    assert not said
