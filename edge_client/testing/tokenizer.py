"""A real tokenizer without a file: every byte is a token, so that any text can be written and read back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from shared.chat.pocket import POCKET_CHAT, SPECIAL_TOKENS
from shared.chat.rendering import render
from shared.chat.template import Message
from shared.tokenizer import BYTE_CHARACTERS

# The special tokens of the pocket models come first; of them these two end a text.
END_IDS = (0, 1)


@cache
def byte_tokenizer() -> Tokenizer:
    """A byte-level tokenizer of 261 tokens: the special tokens of the pocket models, then the 256 bytes in order.

    So the id of a byte is ``5 + byte``, ``encode(text).ids`` are the ids of a text's UTF-8, and nothing is put before
    it. It has what a chat is rendered with. Made once a process; do not change it.
    """
    pieces = [*SPECIAL_TOKENS, *BYTE_CHARACTERS]
    made = Tokenizer(models.BPE({piece: token for token, piece in enumerate(pieces)}, []))
    made.add_special_tokens(list(SPECIAL_TOKENS))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def render_chat(messages: Sequence[Message]) -> str:
    """A conversation as the text that a scripted bundle makes of it; `byte_tokenizer` encodes it."""
    return render(POCKET_CHAT, messages)
