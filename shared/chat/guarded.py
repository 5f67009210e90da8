"""A copy of a tokenizer in which only who knows their secret names can write control tokens."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from tokenizers import Tokenizer


class Guarded:
    """A copy of a tokenizer that knows its control tokens under secret names only.

    Args:
        tokenizer: that is copied.
        control: its control tokens, and their ids.
    """

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
