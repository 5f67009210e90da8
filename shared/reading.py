"""How a tokenizer reads: texts by which two that have the same tokens are told apart."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tokenizers import Tokenizer

# Languages, spaces everywhere, signs, parts of characters, and length.
PROBES = (
    "",
    "Hi",
    " Hi",
    "  two  spaces   three ",
    "a\nb\n\nc\r\n\td\n",
    "\n",
    "Once upon a time there was a little girl. She didn't like it, did she? 3.14 and 12,345!",
    "Grüße aus Köln, naïve café — “quoted” … ½ № ﬁ \uff21",
    "cafe\u0301 \u00a0\u200b\ufeff\u3000x",
    "你好,世界!日本語のテキスト。 한국어 문장 ไทย हिन्दी العربية עברית",
    "😀👩‍👩‍👧‍👦 🏳️‍🌈 ❤️",
    "def f(x):\n    return {'a': [x, -1]}  # <b>&amp;</b>",
    "\x00\x01 \x7f \ud7ff \U0010fffd",
    "word " * 700,
)
# Added tokens that are spelled out, and tokens that are put together to texts, in pieces.
_MOST_ADDED = 200
_MOST_TOKENS = 4096
_PIECE = 64
# Full-width forms of plain letters and signs.
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
# Latin, Greek and Cyrillic letters in the other case. Python's own tables grow with its version, and a fingerprint must
# not: in these old blocks they are settled.
_OTHER_CASE = {code: chr(code).swapcase() for code in (*range(0x41, 0x180), *range(0x391, 0x460))}


def probing_texts(tokenizer: Tokenizer) -> list[str]:
    """`PROBES`, and texts that spell the tokenizer's added tokens: within words, between spaces, and all together."""
    by_id = sorted(tokenizer.get_added_tokens_decoder().items())
    added = [token.content for _, token in by_id][:_MOST_ADDED]
    return [*PROBES, *(text for token in added for text in (f"a{token}b", f" {token} x", token)), "".join(added)]


def vocabulary_texts(tokenizer: Tokenizer) -> list[str]:
    """Texts of the tokenizer's own tokens, so that splits and merges of its words are tried whatever its language.

    The same in other letters, too, which a normalizer may take for them.
    """
    ids = sorted(tokenizer.get_vocab(with_added_tokens=True).values())
    ids = ids[:: max(1, len(ids) // _MOST_TOKENS)]
    texts = [tokenizer.decode(ids[start : start + _PIECE]) for start in range(0, len(ids), _PIECE)]
    return [*texts, *(text.translate(table) for table in (_OTHER_CASE, _WIDE) for text in texts)]


def reading(tokenizer: Tokenizer) -> Iterator[str]:
    """All by which a tokenizer's ids and texts are told from another's, as lines of JSON.

    That is its tokens, its merges or scores, and what becomes of probing texts, there and back. What it is made of is
    left out: other versions of transformers build the same reading of other parts.
    """
    yield _line(sorted(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1]))
    model = json.loads(tokenizer.to_str())["model"]
    merges = [one.split(" ", 1) if isinstance(one, str) else one for one in model.get("merges", ())]
    yield _line([merges, model["vocab"] if isinstance(model["vocab"], list) else []])
    for text in (*probing_texts(tokenizer), *vocabulary_texts(tokenizer)):
        ids = tokenizer.encode(text).ids
        yield _line([text, ids, tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.decode(ids)])


def difference(one: Tokenizer, other: Tokenizer) -> str | None:
    """A text that the first reads otherwise than the second; "" if they differ in something else, None in nothing."""
    for text in (*probing_texts(other), *probing_texts(one), *vocabulary_texts(other)):
        if text and one.encode(text).ids != other.encode(text).ids:
            return text
    return None if list(reading(one)) == list(reading(other)) else ""


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
