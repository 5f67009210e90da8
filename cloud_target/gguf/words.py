"""The tokenizer of a GGUF file: its words and merges, split as the family that it names splits its texts.

A file names the way in which a text is split before words are made of bytes (`tokenizer.ggml.pre`), and does not say
what that way is: it is a convention between programs. Only those ways are here that are held against the tokenizers of
their families; for others the tokenizer must be given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from shared.errors import InputError

# Kinds of tokens (`tokenizer.ggml.token_type`).
_CONTROL, _DEFINED, _UNUSED = 3, 4, 5
# As GPT-4's, with numbers of up to three digits or of one.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Way:
    """In which texts are split.

    Attributes:
        splits: the pattern of words; None for GPT-2's own.
        digits: whether each digit stands alone before that.
        composes: whether characters are composed first (NFC).
        whole_words: whether a word that is a token is taken whole, whatever the merges say.
        begins: whether a text begins with the token for that, where the file does not say.
    """

    splits: str | None = None
    digits: bool = False
    composes: bool = False
    whole_words: bool = False
    begins: bool = False


_DIGITS = Way(digits=True)
_LLAMA3 = Way(_WORDS.format(numbers=r"\p{N}{1,3}"), whole_words=True, begins=True)
WAYS = {
    "gpt-2": Way(),
    "smollm": _DIGITS,
    "starcoder": _DIGITS,
    "qwen2": Way(_WORDS.format(numbers=r"\p{N}"), composes=True),
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
}


def tokenizer_of(fields: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that a file describes.

    Args:
        fields: of the file.

    Raises:
        InputError: it is of another kind, or splits texts in a way that is not known here.
    """
    kind, name = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre")
    if kind != "gpt2" or name not in WAYS:
        what = f"splits texts as {name!r} does" if kind == "gpt2" else f"is of the kind {kind!r}"
        raise InputError(
            f"its tokenizer {what}, which cannot be told from a GGUF file for certain (known: {', '.join(WAYS)}); give "
            "the model's own with --tokenizer, a directory or an id on the hub"
        )
    way, words = WAYS[name], words_of(fields)
    merges = [tuple(merge.split(" ", 1)) for merge in fields.get("tokenizer.ggml.merges", [])]
    made = Tokenizer(models.BPE({word: id for id, word in words.items()}, merges, ignore_merges=way.whole_words))
    if way.composes:
        made.normalizer = normalizers.NFC()
    made.pre_tokenizer = _pre_tokenizer(way)
    made.decoder = decoders.ByteLevel()
    kinds = fields.get("tokenizer.ggml.token_type", [])
    for id, word in words.items():
        if id < len(kinds) and kinds[id] in (_CONTROL, _DEFINED):
            token = AddedToken(word, normalized=False, special=kinds[id] == _CONTROL)
            (made.add_special_tokens if kinds[id] == _CONTROL else made.add_tokens)([token])
    begin = fields.get("tokenizer.ggml.bos_token_id")
    if begin in words and fields.get("tokenizer.ggml.add_bos_token", way.begins):
        made.post_processor = processors.TemplateProcessing(
            single=[words[begin], "$A"], special_tokens=[(words[begin], begin)]
        )
    return made


def words_of(fields: Mapping[str, Any]) -> dict[int, str]:
    """The tokens by their ids; those that only fill rows are left out.

    Raises:
        InputError: there are none.
    """
    words, kinds = fields.get("tokenizer.ggml.tokens", []), fields.get("tokenizer.ggml.token_type", [])
    found = {id: word for id, word in enumerate(words) if id >= len(kinds) or kinds[id] != _UNUSED}
    if not found:
        raise InputError("it has no tokens; give a file that has, or their tokenizer with --tokenizer")
    return found


def check_same_words(theirs: Tokenizer, fields: Mapping[str, Any]) -> None:
    """See that a tokenizer from elsewhere is the file's.

    Raises:
        InputError: a token is another one.
    """
    for id, word in words_of(fields).items():
        if theirs.id_to_token(id) != word:
            raise InputError(
                f"that is another tokenizer: token {id} is {theirs.id_to_token(id)!r} there, and {word!r} in the file; "
                "give the one of this very model"
            )


def _pre_tokenizer(way: Way) -> Any:
    if way.splits is None:
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level]) if way.digits else level
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(way.splits), "isolated"), level])
