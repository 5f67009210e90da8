"""Documents to token ids: nothing lost, both forms of a dialogue, every row begins as a text does."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from cloud_target.training.corpus import (
    SEPARATOR,
    UNSEEN,
    PackedCorpus,
    as_chat,
    encode_corpus,
    encode_documents,
    has_chat,
    hold_out,
    id_type,
    padded_batches,
    read_documents,
    write_documents,
)
from cloud_target.training.packing import pack_rows, row_places
from cloud_target.training.tokenizer import save_tokenizer, train_tokenizer
from shared.chat.pocket import SPECIAL_TOKENS
from shared.errors import InputError

DIALOGUE = "User: Is the table free?\nAssistant: It is, at noon.\nUser: Thank you."
STORY = "Once upon a time a fox lost its red hat.\nIt looked under the bed."
lengths = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n<|endoftext|>\n".join([DIALOGUE, STORY] * 20), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokenizer(corpus: Path) -> Tokenizer:
    return train_tokenizer([corpus], vocabulary=320)


@pytest.mark.slow
@given(text=st.text(max_size=60))
def test_any_text_survives_the_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_documents_begin_with_end_of_text_and_specials_are_one_token(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == list(range(len(SPECIAL_TOKENS)))
    ids = encode_documents(tokenizer, ["<|user|>Is<|end|>"])[0]
    assert ids[0] == 0
    assert ids[1] == tokenizer.token_to_id("<|user|>")
    assert ids[-1] == tokenizer.token_to_id("<|end|>")


def test_saved_tokenizer_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path, context=64)
    again = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert again.encode(DIALOGUE).ids == tokenizer.encode(DIALOGUE).ids


def test_packed_file_reads_as_plain_one(corpus: Path, tmp_path: Path) -> None:
    packed = tmp_path / "corpus.txt.xz"
    packed.write_bytes(lzma.compress(corpus.read_bytes()))
    assert read_documents(packed) == read_documents(corpus) == [DIALOGUE, STORY] * 20


@pytest.mark.parametrize("content", ["", "\n<|endoftext|>\n\n"])
def test_empty_corpus_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text(content)
    with pytest.raises(InputError, match="holds no document"):
        read_documents(path)


def test_missing_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the corpus"):
        read_documents(tmp_path / "nowhere.txt")


def test_a_dialogue_has_a_chat_form_and_a_story_has_none() -> None:
    turns = [line.split(": ", 1) for line in DIALOGUE.splitlines()]
    messages = [{"role": role.lower(), "content": content} for role, content in turns]
    assert as_chat(DIALOGUE) == "".join(f"<|{turn['role']}|>{turn['content']}<|end|>" for turn in messages)
    assert as_chat(STORY) is None


def test_both_forms_occur_and_order_follows_the_seed(corpus: Path, tokenizer: Tokenizer) -> None:
    documents = encode_corpus(tokenizer, [corpus], seed=3)
    texts = {tokenizer.decode(document[1:], skip_special_tokens=False) for document in documents}
    assert texts == {DIALOGUE, STORY, as_chat(DIALOGUE)}
    again = encode_corpus(tokenizer, [corpus], seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(documents, again, strict=True))
    mine, held = hold_out(documents, 0.25)
    assert (len(mine), len(held)) == (30, 10)


def test_dialogues_stay_plain_where_the_tokenizer_knows_no_chat(corpus: Path) -> None:
    words = Tokenizer(models.WordLevel({"fox": 0, "hat": 1}, unk_token="fox"))
    assert not has_chat(words)
    documents = encode_corpus(words, [corpus], seed=3)
    assert len(documents) == 40
    assert documents[0].dtype == np.uint16


def test_large_vocabularies_have_room() -> None:
    assert id_type(1 << 16) is np.uint16
    assert id_type((1 << 16) + 1) is np.uint32
    words = {f"w{i}": i for i in range(1 << 17)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    assert encode_documents(tokenizer, ["w70000"])[0].tolist() == [70000]


def test_windows_of_a_packed_corpus_are_its_text(corpus: Path, tokenizer: Tokenizer) -> None:
    packed = PackedCorpus(tokenizer, [corpus], seed=1)
    flat = packed.epoch(0).tobytes()
    batch = next(packed.batches(64, 16))
    assert batch.shape == (4, 17)
    assert all(row.astype(np.uint16).tobytes() in flat for row in batch)


def test_a_target_reads_what_a_draft_reads(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = tmp_path / "corpus.txt"
    write_documents(corpus, [f"{STORY} {number}" for number in range(50)])
    seen, unseen = hold_out(encode_corpus(tokenizer, [corpus]), UNSEEN)
    text = tokenizer.decode(PackedCorpus(tokenizer, [corpus], seed=1).epoch(0).tolist(), skip_special_tokens=False)
    assert sorted(text.removeprefix(SEPARATOR).split(SEPARATOR)) == sorted(tokenizer.decode(ids[1:]) for ids in seen)
    assert len(unseen) == 10


@given(lengths=lengths, batch=st.integers(10, 100), context=st.integers(5, 50))
def test_padded_batches_hold_every_document_once(lengths: list[int], batch: int, context: int) -> None:
    documents = [np.full(length, number + 1, np.uint16) for number, length in enumerate(lengths)]
    seen = []
    for indices, ids in padded_batches(documents, batch, context):
        assert ids.size <= max(batch, ids.shape[1])
        for row, index in zip(ids, indices, strict=True):
            length = min(lengths[index], context)
            assert (row[:length] == index + 1).all()
            assert not row[length:].any()
        seen += indices
    assert sorted(seen) == list(range(len(lengths)))


@given(lengths=lengths, width=st.integers(10, 50), seed=st.integers(0, 9))
def test_packed_rows_hold_every_document_once_from_its_beginning(lengths: list[int], width: int, seed: int) -> None:
    sizes = np.array(lengths)
    starts = sizes.cumsum() - sizes
    rows = list(pack_rows(sizes, width, np.random.default_rng(seed)))
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    for row in rows:
        places = row_places(row, starts, sizes, width)
        expected = [starts[i] + k for i in row for k in range(min(lengths[i], width))]
        assert places[: len(expected)].tolist() == expected
        assert (places[len(expected) :] == -1).all()
