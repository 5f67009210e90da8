"""Text to token ids and back, one token at a time."""

from __future__ import annotations

import codecs
import copy
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from shared.errors import BundleError, ContextLengthError, InputError

# A text is surely too long with so many times the characters of as many of the longest tokens as there is room for:
# some tokenizers make one space of several, or one token of a word that they do not know.
_ROOM = 8
_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer in a `tokenizer.json`, without the truncation and the padding that batches may want.

    Raises:
        BundleError: the file is missing or damaged.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BundleError(f"cannot read the tokenizer {path} ({error}); copy the bundle again, whole") from None
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing more specific
        raise BundleError(f"the tokenizer {path} is damaged ({error}); copy the bundle again, whole") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def see_that_it_may_fit(tokenizer: Tokenizer, characters: int, context: int) -> None:
    """Refuse a text that no tokens of a context could hold, before it is encoded: megabytes take half a minute.

    Args:
        characters: of the text.
        context: most tokens of a text.

    Raises:
        ContextLengthError: it is longer by far than so many of the longest tokens.
    """
    if characters > _ROOM * context * _longest(tokenizer):
        raise ContextLengthError(
            f"the prompt has {characters} characters, far more than a context of {context} tokens can hold; shorten it"
        )


@lru_cache(maxsize=8)
def _longest(tokenizer: Tokenizer) -> int:
    """Characters of the longest token; special ones, which a text may spell, included."""
    return max(map(len, tokenizer.get_vocab()), default=1)


def encode_prompt(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a prompt, with the special tokens that the model expects before it: as transformers encodes a text.

    The text is its user's own, so special tokens that are written out in it become the special tokens.

    Raises:
        InputError: there is nothing to encode, or it is not valid Unicode.
    """
    if not text:
        raise InputError("the prompt is empty; give a few words to go on from")
    try:
        ids: list[int] = tokenizer.encode(text).ids
    except (TypeError, UnicodeError):
        raise InputError("the prompt is not valid Unicode text; give it as UTF-8") from None
    if not ids:
        raise InputError("the prompt has no token in it; give a few words to go on from")
    return ids


def bytes_per_token(tokenizer: Tokenizer, ids: Sequence[int]) -> float:
    """UTF-8 bytes that a token of these stands for, in the mean; special tokens, which stand for none, do not count.

    Few bytes mean words that the tokenizer has no tokens for, so text unlike that which it was made for.
    """
    hidden = special_tokens(tokenizer)
    words = [token for token in ids if token not in hidden]
    return len(tokenizer.decode(words).encode()) / max(len(words), 1)


class StreamDecoder:
    """Turns token ids into text as they come, each piece as soon as nothing can change it any more.

    The pieces, put together, are what decoding the whole continuation at once gives: characters whose bytes are
    spread over several tokens wait for the last of them, and bytes that are no UTF-8 become U+FFFD in the same
    places. Special tokens are hidden. The work a token is constant.

    Args:
        tokenizer: any `tokenizers.Tokenizer`.
        context: the ids before the continuation. Tokenizers that drop the first space of a text need them to know
            that the continuation is not the beginning; byte-level ones do not look at them.
    """

    def __init__(self, tokenizer: Tokenizer, context: Sequence[int] = ()) -> None:
        kinds = _decoder_kinds(tokenizer)
        self._inner: _ByteStream | _ContextStream
        self._inner = _ByteStream(tokenizer) if kinds == {"ByteLevel"} else _ContextStream(tokenizer, kinds, context)

    def push(self, token: int) -> str:
        """Take the next id; returns the text that is certain now, often the token's own, perhaps none."""
        return self._inner.push(token)

    def flush(self) -> str:
        """The text is over: returns what was held back."""
        return self._inner.flush()

    def fork(self) -> StreamDecoder:
        """Another decoder that goes on from here by itself."""
        fork = copy.copy(self)
        fork._inner = self._inner.fork()
        return fork


class _ByteStream:
    """Byte-level BPE: every token is a string of bytes, whatever stands around it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pieces = _Pieces(tokenizer)
        self._utf8 = _new_utf8()
        self._inside = False

    def push(self, token: int) -> str:
        piece = self._pieces[token]
        if piece.__class__ is str and not self._inside:
            return piece
        text = self._utf8.decode(piece.encode() if isinstance(piece, str) else piece)
        self._inside = bool(self._utf8.getstate()[0])
        return text

    def flush(self) -> str:
        self._inside = False
        return self._utf8.decode(b"", final=True)

    def fork(self) -> _ByteStream:
        fork = copy.copy(self)
        fork._utf8 = _new_utf8()
        fork._utf8.setstate(self._utf8.getstate())
        return fork


def _new_utf8() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


class _Pieces(dict[int, "str | bytes"]):
    """From token id to its text, or to its bytes where they are no whole characters; filled as ids are met."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._hidden = special_tokens(tokenizer)

    def __missing__(self, token: int) -> str | bytes:
        written = None if token in self._hidden else self._tokenizer.id_to_token(token)
        if written is None:
            piece: str | bytes = ""
        else:
            # A token with a character that stands for no byte (an added token with a space) is plain text.
            known = all(char in _BYTE_OF for char in written)
            piece = bytes(_BYTE_OF[char] for char in written) if known else written.encode()
            with suppress(UnicodeDecodeError):
                piece = piece.decode()
        self[token] = piece
        return piece


class _ContextStream:
    """Any other tokenizer: a token's text is what it adds to the text of the token before it."""

    def __init__(self, tokenizer: Tokenizer, kinds: set[str], context: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._hidden = special_tokens(tokenizer)
        self._byte_tokens = "ByteFallback" in kinds
        self._split_characters = "ByteLevel" in kinds
        self._context: list[int] = []
        self._before = ""
        self._pending: list[int] = []
        for token in reversed(context):
            if self._is_shown(token) and not self._is_byte(token):
                self._context.insert(0, token)
                self._before = self._decode(self._context)
                if self._before:
                    break

    def push(self, token: int) -> str:
        if not self._is_shown(token):
            return ""
        self._pending.append(token)
        if self._is_byte(token):
            return ""  # one more bad byte would turn the whole run of byte tokens into U+FFFD
        text = self._decode(self._context + self._pending)
        if self._split_characters and text.endswith("\ufffd") and len(self._pending) < 8:
            return ""
        return self._settle(text)

    def flush(self) -> str:
        return self._settle(self._decode(self._context + self._pending)) if self._pending else ""

    def fork(self) -> _ContextStream:
        fork = copy.copy(self)
        fork._context, fork._pending = self._context.copy(), self._pending.copy()
        return fork

    def _settle(self, text: str) -> str:
        piece = text[len(self._before) :]
        last = self._decode(self._pending[-1:])
        # A token that is nothing by itself cannot stand for what is before it.
        self._context = self._pending[-1:] if last else self._context + self._pending
        self._before = last or text
        self._pending = []
        return piece

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids)
        return text

    def _is_shown(self, token: int) -> bool:
        return token not in self._hidden and self._tokenizer.id_to_token(token) is not None

    def _is_byte(self, token: int) -> bool:
        return self._byte_tokens and _BYTE_TOKEN.fullmatch(self._tokenizer.id_to_token(token)) is not None


def special_tokens(tokenizer: Tokenizer) -> dict[int, str]:
    """The tokens that stand for no text, by id: as each is spelled."""
    return {id: token.content for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def _decoder_kinds(tokenizer: Tokenizer) -> set[str]:
    """Which decoders the tokenizer chains."""
    if tokenizer.decoder is None:
        return set()
    state = json.loads(tokenizer.decoder.__getstate__())
    return {part["type"] for part in state.get("decoders", [state])}


def _byte_alphabet() -> dict[str, int]:
    """The characters by which byte-level BPE writes bytes (Radford et al. 2019, GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()
# The character that stands for each byte, in order.
BYTE_CHARACTERS = tuple(sorted(_BYTE_OF, key=_BYTE_OF.__getitem__))
