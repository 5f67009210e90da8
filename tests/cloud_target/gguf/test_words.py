"""Texts are split as the family that a GGUF file names splits them: as transformers has it for that family."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter

from cloud_target.gguf.words import WAYS, check_same_words, tokenizer_of
from shared.errors import InputError
from tests.cloud_target.gguf.conftest import NORMAL, UNUSED, words_of
from tests.shared.chat.families import tokenizer_of as family

_BITS = ["It's", " 2026", "12,345", "\n\n", "  ", "\t", "WE'LL", "Grüße", "世界", "<|im_end|>", "e\u0301", "!?", " a"]
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(_BITS)).map("".join)
PARTS = st.lists(st.sampled_from(["a", "I'm", "Köln", " ", "\n", "?!", "世"])).map("".join)


def fields(name: str, pre: str | None, **others: Any) -> dict[str, Any]:
    words, merges, kinds = words_of(name)
    values = {"model": "gpt2", "pre": pre, "tokens": words, "merges": merges, "token_type": kinds} | others
    return {f"tokenizer.ggml.{key}": value for key, value in values.items()}


@pytest.mark.parametrize(("name", "pre"), [("gpt2", "gpt-2"), ("qwen2", "qwen2"), ("llama3", "llama-bpe")])
def test_a_file_gives_the_ids_that_its_family_gives(name: str, pre: str) -> None:
    theirs = family(name)
    begin = theirs.token_to_id("<|begin_of_text|>")
    ours = tokenizer_of(fields(name, pre, **({} if begin is None else {"bos_token_id": begin})))

    @given(text=TEXTS)
    def same(text: str) -> None:
        assert ours.encode(text).ids == _with_whole_numbers(theirs, pre).encode(text).ids
        assert ours.decode(ours.encode(text).ids) == theirs.decode(ours.encode(text).ids)

    same()


def _with_whole_numbers(theirs: Tokenizer, pre: str) -> Tokenizer:
    """The small family's tokenizer with the pattern that transformers has for the real one."""
    if pre == "gpt-2":
        return theirs
    state = json.loads(theirs.to_str())
    pattern = TikTokenConverter().pattern
    state["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = (
        pattern if pre == "llama-bpe" else pattern.replace(r"\p{N}{1,3}", r"\p{N}")
    )
    state["model"]["ignore_merges"] = pre == "llama-bpe"
    return Tokenizer.from_str(json.dumps(state))


@pytest.mark.parametrize("pre", ["smollm", "starcoder"])
def test_digits_stand_alone_where_they_do_in_the_family(pre: str) -> None:
    ours, plain = tokenizer_of(fields("gpt2", pre)), tokenizer_of(fields("gpt2", "gpt-2"))

    @given(number=st.integers(0, 10**9), text=PARTS)
    def alone(number: int, text: str) -> None:
        assert ours.encode(text).ids == plain.encode(text).ids
        assert [ours.id_to_token(id) for id in ours.encode(str(number)).ids] == list(str(number))

    alone()


@pytest.mark.parametrize(("given", "begins"), [(None, False), (False, False), (True, True)])
def test_a_text_begins_as_the_file_says(given: bool | None, begins: bool) -> None:
    said = {} if given is None else {"add_bos_token": given}
    begin = words_of("qwen2")[0].index("<|im_start|>")
    made = tokenizer_of(fields("qwen2", "qwen2", bos_token_id=begin, **said))
    assert (made.encode("a").ids[0] == begin) == begins


def test_rows_that_only_fill_are_no_tokens() -> None:
    told = fields("qwen2", "qwen2")
    told["tokenizer.ggml.tokens"] += ["[PAD1]", "[PAD2]"]
    told["tokenizer.ggml.token_type"] += [int(UNUSED), int(UNUSED)]
    assert tokenizer_of(told).token_to_id("[PAD1]") is None
    assert tokenizer_of(told).get_vocab_size() == len(told["tokenizer.ggml.tokens"]) - 2


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pre": "tekken"}, "splits texts as 'tekken' does, which cannot be told"),
        ({"pre": None}, "splits texts as None does"),
        ({"model": "llama"}, "is of the kind 'llama'"),
        ({"tokens": []}, "it has no tokens"),
    ],
)
def test_what_is_not_known_for_certain_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why) as refusal:
        tokenizer_of(fields("qwen2", **{"pre": "qwen2"} | changes))
    assert "--tokenizer" in str(refusal.value)


def test_a_tokenizer_from_elsewhere_must_have_the_files_words() -> None:
    told = fields("qwen2", "other")
    check_same_words(family("qwen2"), told)
    told["tokenizer.ggml.tokens"][40] = "another"
    with pytest.raises(InputError, match=r"that is another tokenizer: token 40 is .* and 'another' in the file"):
        check_same_words(family("qwen2"), told)
    assert NORMAL in told["tokenizer.ggml.token_type"]
    assert set(WAYS) >= {"gpt-2", "smollm", "qwen2", "llama-bpe"}
