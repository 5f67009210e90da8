"""Text that is streamed token by token is the text that decoding all tokens at once gives."""

from __future__ import annotations

import json
import random
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from shared.errors import BundleError, InputError
from shared.tokenizer import StreamDecoder, encode_prompt, load_tokenizer

TEXTS = [
    "Once upon a time there was a little girl. She liked to play in the park, didn't she?",
    "Grüße aus Köln, naïve café — “quoted” … 12 345 €",
    "你好,世界!我们今天去公园玩。日本語のテキストです。한국어 문장",
    "😀👩‍👩‍👧‍👦🏳️‍🌈 flags 🇩🇪🇯🇵 and hearts ❤️",
]
bounded = settings(max_examples=50, deadline=None)


@cache
def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|endoftext|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    tokenizer.add_tokens([AddedToken("two words"), AddedToken("né"), AddedToken("日本")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    return tokenizer


@cache
def sentence_piece() -> Tokenizer:
    """As Llama 2 has it: metaspace, byte tokens for what is unknown, and the first space of a text dropped."""
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=100, show_progress=False)
    learnt = json.loads(_trained(models.BPE(), trainer, decoders.Fuse(), normalizer, None, TEXTS[:1]).to_str())["model"]
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    words = ["<unk>", *byte_tokens, *learnt["vocab"]]
    merges = [tuple(pair) for pair in learnt["merges"]]
    vocabulary = {word: id for id, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


@cache
def metaspace() -> Tokenizer:
    return _trained(
        models.BPE(unk_token="<unk>"),
        trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "<s>"], show_progress=False),
        decoders.Metaspace(),
        None,
        pre_tokenizers.Metaspace(),
    )


@cache
def word_piece() -> Tokenizer:
    """As BERT has it. (Its trainer is not reproducible, so here is no training.)"""
    words = [
        "[UNK]",
        "[CLS]",
        "Once",
        "upon",
        "a",
        "time",
        "girl",
        ".",
        ",",
        "?",
        "'",
        "n't",
        "12",
        "€",
        "你",
        "好",
        "😀",
    ]
    words += [f"##{part}" for part in [*"abcdefghijklmnopqrstuvwxyz'", "ing", "好", "€"]]
    tokenizer = Tokenizer(models.WordPiece({word: id for id, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[CLS]"])
    return tokenizer


@cache
def end_of_word() -> Tokenizer:
    """The original BPE: the space after a word shows only with the next token. (Not trained, for the same reason.)"""
    letters = "Onceupatimrwslgk.,你好😀"
    words = ["<unk>", "<s>", *letters, *(f"{letter}</w>" for letter in letters), "On", "ce</w>", "Once</w>"]
    merges = [("O", "n"), ("c", "e</w>"), ("On", "ce</w>")]
    tokenizer = Tokenizer(
        models.BPE({word: id for id, word in enumerate(words)}, merges, unk_token="<unk>", end_of_word_suffix="</w>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder()
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer


def _trained(model, trainer, decoder, normalizer, pre_tokenizer, texts=TEXTS) -> Tokenizer:
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    tokenizer.train_from_iterator(texts * 3, trainer)
    return tokenizer


ALL = [byte_level, sentence_piece, metaspace, word_piece, end_of_word]
every_tokenizer = pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)


def pieces(tokenizer: Tokenizer, ids: list[int], context: list[int] = ()) -> list[str]:
    stream = StreamDecoder(tokenizer, context)
    return [*(stream.push(token) for token in ids), stream.flush()]


def ids_of(tokenizer: Tokenizer) -> st.SearchStrategy[list[int]]:
    # A few ids beyond the vocabulary: padded models can draw them.
    return st.lists(st.integers(0, tokenizer.get_vocab_size() + 3), max_size=40)


@every_tokenizer
@bounded
@given(data=st.data())
def test_any_ids_stream_to_what_decoding_them_at_once_gives(make, data):
    tokenizer = make()
    ids = data.draw(ids_of(tokenizer))
    assert "".join(pieces(tokenizer, ids)) == tokenizer.decode(ids)


@every_tokenizer
@bounded
@given(data=st.data())
def test_a_continuation_is_what_it_adds_to_the_prompt(make, data):
    tokenizer = make()
    # A prompt that ends in byte tokens could be changed by what follows; the next test has that.
    prompt = tokenizer.encode(data.draw(st.sampled_from(TEXTS)) + " time").ids
    ids = data.draw(ids_of(tokenizer))
    assert tokenizer.decode(prompt) + "".join(pieces(tokenizer, ids, prompt)) == tokenizer.decode(prompt + ids)


@bounded
@example("👩‍👩‍👧‍👦")
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_text_survives_byte_level_tokens_and_no_piece_shows_half_a_character(text):
    tokenizer = byte_level()
    streamed = pieces(tokenizer, tokenizer.encode(text, add_special_tokens=False).ids)
    assert "".join(streamed) == text
    assert all("\ufffd" not in piece or "\ufffd" in text for piece in streamed)


@pytest.mark.parametrize("text", TEXTS)
def test_a_character_is_shown_with_its_last_byte(text):
    tokenizer = byte_level()
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    streamed = pieces(tokenizer, ids)
    for count in range(len(ids) + 1):
        whole = tokenizer.decode(ids[:count])
        assert "".join(streamed[:count]) == whole.rstrip("\ufffd")


def test_special_tokens_are_hidden_and_do_not_part_a_character():
    tokenizer = byte_level()
    smile = tokenizer.encode("😀", add_special_tokens=False).ids
    assert len(smile) > 1
    assert "".join(pieces(tokenizer, [0, *smile[:1], 1, *smile[1:], 0])) == "😀"


def test_bytes_that_are_no_text_come_out_at_the_end():
    tokenizer = byte_level()
    stream = StreamDecoder(tokenizer)
    first = tokenizer.encode("😀", add_special_tokens=False).ids[0]
    assert stream.push(first) == ""
    assert stream.flush() == "\ufffd"
    assert stream.flush() == ""


def test_leading_space_of_a_continuation_is_kept():
    tokenizer = sentence_piece()
    ids = tokenizer.encode("Once upon a time").ids
    for cut in range(1, len(ids)):
        assert tokenizer.decode(ids[:cut]) + "".join(pieces(tokenizer, ids[cut:], ids[:cut])) == "Once upon a time"


def test_a_character_at_the_end_of_the_prompt_is_over():
    tokenizer = sentence_piece()
    prompt = tokenizer.encode("time 😀").ids
    ids = [tokenizer.token_to_id("<0xFF>"), *tokenizer.encode("time").ids]
    assert tokenizer.id_to_token(prompt[-1]).startswith("<0x")
    assert "".join(pieces(tokenizer, ids, prompt)) == "\ufffd time"


def test_a_run_of_bad_bytes_is_not_shown_too_early():
    tokenizer = sentence_piece()
    run = [tokenizer.token_to_id(token) for token in ("<0xC3>", "<0xA9>", "<0xFF>")]
    word = tokenizer.encode("time").ids
    assert "".join(pieces(tokenizer, [*run[:2], *word])) == "é time"
    assert "".join(pieces(tokenizer, [*run, *word])) == "\ufffd\ufffd\ufffd time"


@every_tokenizer
def test_the_work_a_token_does_not_grow(make):
    """Counts what is decoded: a constant number of ids per token, however long the text."""
    decoded = []

    class Counting:
        def __init__(self, tokenizer):
            self._tokenizer = tokenizer

        def __getattr__(self, name):
            return getattr(self._tokenizer, name)

        def decode(self, ids):
            decoded.append(len(ids))
            return self._tokenizer.decode(ids)

    tokenizer = make()
    ids = tokenizer.encode(TEXTS[0] * 20, add_special_tokens=False).ids
    pieces(Counting(tokenizer), ids)
    assert max(decoded, default=0) <= 8


def test_a_prompt_is_encoded_with_its_special_tokens():
    tokenizer = byte_level()
    ids = encode_prompt(tokenizer, "Hello<|end|>")
    assert (ids[0], ids[-1]) == (0, 1)
    assert tokenizer.decode(ids) == "Hello"


@pytest.mark.parametrize("text", ["", "\ud800", "ab\udcff"])
def test_prompts_that_are_no_text_are_refused(text):
    with pytest.raises(InputError, match="the prompt"):
        encode_prompt(byte_level(), text)


def test_a_loaded_tokenizer_neither_cuts_nor_pads(tmp_path):
    tokenizer = Tokenizer.from_str(byte_level().to_str())
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=64, pad_id=1, pad_token="!")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    for text in ("Hi", TEXTS[0] * 20):
        assert encode_prompt(loaded, text) == byte_level().encode(text).ids


def test_load(tmp_path):
    path = tmp_path / "tokenizer.json"
    byte_level().save(str(path))
    assert load_tokenizer(path).get_vocab() == byte_level().get_vocab()
    whole = path.read_bytes()
    cut = random.Random(0).randrange(len(whole))
    for damage in (b"", whole[:cut], b"\xff\xfe", b"{}"):
        path.write_bytes(damage)
        with pytest.raises(BundleError, match=r"tokenizer\.json"):
            load_tokenizer(path)
    with pytest.raises(BundleError, match="cannot read"):
        load_tokenizer(tmp_path / "nothing.json")
