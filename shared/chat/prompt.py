"""A conversation as token ids, in which only the template writes control tokens.

A turn may hold the string of a special token, by accident or to pretend that another turn begins. Where one does, the
conversation is rendered with other characters in the place of those that such strings are made of: what then still
spells a control token comes from the template. These are given names that nobody can know, and a copy of the tokenizer
that has the control tokens under these names only encodes the whole; so what the turns spell stays ordinary text.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from tokenizers import Tokenizer

from shared.chat.rendering import render
from shared.chat.template import ChatTemplate, Message, check_messages
from shared.errors import InputError

# Characters without meaning (a private plane of Unicode), to stand for others while a template runs.
_PRIVATE = range(0xF0000, 0xFFFFE)


class ChatEncoder:
    """Writes conversations for one checkpoint.

    Args:
        tokenizer: of the checkpoint.
        template: of the checkpoint.
        end_ids: tokens that end a text; they are control tokens too.

    Attributes:
        control_ids: of the control tokens: special ones, those that end a text, and others that the template names.
    """

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, end_ids: Collection[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._template = template
        named = [template.source, *(str(value) for value in template.tokens.values())]
        self._control = {
            token.content: id
            for id, token in tokenizer.get_added_tokens_decoder().items()
            if not token.content.isspace()
            and (token.special or id in end_ids or any(token.content in text for text in named))
        }
        self.control_ids = frozenset(self._control.values())

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a conversation and of the beginning of the assistant's turn.

        Of turns that spell no control token they are those that transformers' `apply_chat_template` gives.

        Raises:
            InputError: what is given is no conversation, or the template refuses it.
            BundleError: the template is broken.
        """
        turns = check_messages(messages)
        try:
            text = render(self._template, turns)
            if self._may_forge([value for turn in turns for name, value in turn.items() if name != "role"]):
                ids = self._encode_guarded(turns)
            else:
                ids = self._ids(text)
        except (TypeError, UnicodeError):
            raise InputError("the chat is not valid Unicode text; give it as UTF-8") from None
        if not ids:
            raise InputError("the chat template writes nothing for these turns; give others")
        return ids

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _may_forge(self, contents: list[str]) -> bool:
        """Whether contents, or what they are one after the other, have a control token in them."""
        whole = "".join(contents)
        if any(token in whole for token in self._control):
            return True
        # A normalizer can make one of other characters. What is unknown is no forgery.
        suspects = self.control_ids - {self._unknown_id}
        return any(not suspects.isdisjoint(self._ids(text)) for text in {whole, *contents})

    @cached_property
    def _unknown_id(self) -> int | None:
        model = self._tokenizer.model
        if not hasattr(model, "unk_token"):  # Unigram says it in its file only
            unknown: int | None = json.loads(self._tokenizer.to_str())["model"].get("unk_id")
            return unknown
        return self._control.get(model.unk_token)

    def _encode_guarded(self, turns: list[dict[str, str]]) -> list[int]:
        characters = "".join(sorted({one for token in self._control for one in _telling(token)}))
        known = {self._template.source, *(value for turn in turns for value in turn.values())}
        free = (one for one in map(chr, _PRIVATE) if not any(one in text for text in known))
        marks = "".join(islice(free, len(characters)))
        there, back = str.maketrans(characters, marks), str.maketrans(marks, characters)
        marked = [
            {name: value if name == "role" else value.translate(there) for name, value in turn.items()}
            for turn in turns
        ]
        text = render(self._template, marked, marked=(characters, marks))
        return self._guarded.encode(text, back)

    @cached_property
    def _guarded(self) -> _Guarded:
        return _Guarded(self._tokenizer, self._control)


def _telling(token: str) -> str:
    """The characters by which a token is told from words; of a token that is a word, its first.

    Words, such as roles, keep theirs, so that a template can still compare them.
    """
    return "".join(one for one in token if not (one.isalnum() or one.isspace() or one in "_-")) or token[0]


class _Guarded:
    """A copy of a tokenizer that knows its control tokens under secret names only."""

    def __init__(self, tokenizer: Tokenizer, control: dict[str, int]) -> None:
        secret = secrets.token_hex(16)  # letters and digits, which no normalizer changes
        self._names = {token: f"{secret}{number:06x}z" for number, token in enumerate(control)}
        longest_first = sorted(control, key=len, reverse=True)
        self._written = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self._tokenizer = Tokenizer.from_str(json.dumps(_renamed(json.loads(tokenizer.to_str()), self._names)))
        self._id_of = {self._tokenizer.token_to_id(name): control[token] for token, name in self._names.items()}

    def encode(self, text: str, back: dict[int, int]) -> list[int]:
        """The ids of a text; the characters that stand for others in it are replaced by `back`."""
        named = self._written.sub(lambda match: self._names[match[0]], text).translate(back)
        ids = self._tokenizer.encode(named, add_special_tokens=False).ids
        return [self._id_of.get(id, id) for id in ids]


def _renamed(state: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """A tokenizer's state with other names for some tokens, in its model too: text must not lead there by that way."""
    for token in state["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = state["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(token, token): id for token, id in vocabulary.items()}
    else:
        model["vocab"] = [[names.get(token, token), score] for token, score in vocabulary]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        pairs = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
        model["merges"] = [list(pair) for pair in pairs if not {*pair, "".join(pair)} & names.keys()]
    return state | {"truncation": None, "padding": None, "post_processor": None}
