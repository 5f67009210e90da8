"""A checkpoint's tokens and its chat template, as transformers has them for it.

What a tokenizer does is said in several files, and by the class that transformers chooses: which tokens begin a text,
how its first word is read, tokens that stand beside tokenizer.json only. So transformers reads them, and what it has
made is taken over, without the truncation and padding that belong to batches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from cloud_target.engine import hub
from cloud_target.engine.files import read_config
from shared.chat.template import ChatTemplate
from shared.errors import InputError, first_line
from shared.reading import PROBES, probing_texts

_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


@dataclass(frozen=True)
class Tokens:
    """How a checkpoint reads and writes.

    Attributes:
        tokenizer: gives the ids that transformers gives, neither cut nor padded.
        chat: its chat template; None if it has none that can be carried.
        original: what transformers made of the files, a `PreTrainedTokenizerFast`.
        foreign: ids that it gives, and that are none of the checkpoint's.
    """

    tokenizer: Tokenizer
    chat: ChatTemplate | None
    original: Any
    foreign: frozenset[int]


def read_tokens(source: str | Path) -> Tokens:
    """The tokens of a directory or of a Hugging Face id.

    Tokens that no file of the checkpoint names, or that the model has no row for, are left out: some classes of
    transformers add those by themselves.

    Raises:
        InputError: there is no tokenizer, none that the `tokenizers` library can run, or it would give other ids.
    """
    name = str(source)
    path = Path(source).expanduser()
    theirs = _load(str(path) if path.is_dir() else name, name)
    state = json.loads(theirs.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    foreign = _foreign(theirs, path if path.is_dir() else None, name)
    tokenizer = Tokenizer.from_str(json.dumps(_without(state, foreign)))
    tokens = Tokens(tokenizer, _chat(theirs, foreign), theirs, frozenset(foreign.values()))
    _compare(tokens, name)
    return tokens


def _load(source: str, name: str) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.set_verbosity_error()
    try:
        try:
            try:
                loaded = AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False)
            except (KeyError, TypeError):  # of a chat template in no known form, which is no reason to stop
                loaded = AutoTokenizer.from_pretrained(
                    source, use_fast=True, trust_remote_code=False, chat_template=None
                )
            loaded(list(PROBES), verbose=False)
        except Exception:
            # Where no file says which class reads it, it is what tokenizer.json says.
            if not (Path(source) / "tokenizer.json").is_file() or (Path(source) / "tokenizer_config.json").is_file():
                raise
            loaded = PreTrainedTokenizerFast(tokenizer_file=str(Path(source) / "tokenizer.json"))
        if len(loaded) <= len(loaded.added_tokens_decoder):  # transformers 5 makes one of no file at all
            raise ValueError("its files hold no vocabulary")
    except Exception as error:  # the hub's, the library's and transformers' own errors have no common base
        if (Path(source) / "config.json").is_file():
            read_config(Path(source))  # where that is damaged, nothing else is the reason
        if Path(source).is_dir() and not (Path(source) / "tokenizer.json").is_file():
            raise InputError(
                f"{name} has no tokenizer.json, and transformers cannot make one here ({first_line(error)}); load the "
                "tokenizer with transformers' AutoTokenizer where that can be done, and save it with save_pretrained"
            ) from error
        raise InputError(
            f"transformers cannot load a tokenizer from {name} ({first_line(error)}); give a directory, or a Hugging "
            "Face id that can be reached, with a tokenizer.json"
        ) from error
    if not getattr(loaded, "is_fast", False):
        raise InputError(
            f"the tokenizer of {name} is a {type(loaded).__name__}, which runs in Python only, and devices need one "
            "of the `tokenizers` library; give a checkpoint with a tokenizer.json"
        )
    return loaded


def _foreign(theirs: Any, directory: Path | None, name: str) -> dict[str, int]:
    """Added tokens that are none of the checkpoint's, and their ids."""
    files = {file: _read(directory, file, name) for file in _FILES}
    named = {text for content in files.values() for text in _strings(content)}
    own = (files["tokenizer.json"] or {}).get("model", {}).get("vocab")
    named |= {token if isinstance(token, str) else token[0] for token in own or ()}
    rows = _rows(directory, name)
    return {
        token.content: id
        for id, token in theirs.backend_tokenizer.get_added_tokens_decoder().items()
        if (own and token.content not in named) or (rows is not None and id >= rows)
    }


def _rows(directory: Path | None, name: str) -> int | None:
    """How many tokens the model knows, if its configuration says so."""
    config = _read(directory, "config.json", name) or {}
    nested = config.get("text_config")
    rows = config.get("vocab_size", nested.get("vocab_size") if isinstance(nested, dict) else None)
    return rows if isinstance(rows, int) else None


def _read(directory: Path | None, file: str, name: str) -> Any:
    """The content of a JSON file of the checkpoint; None if it has none, or a damaged one, which others complain of."""
    try:
        path = directory / file if directory is not None else Path(hub.fetch(name, file))
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _strings(content: object) -> Iterator[str]:
    """Every string in a JSON value, keys too, but for the model's vocabulary, which is large."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield key
            if key != "model":
                yield from _strings(value)
    elif isinstance(content, list):
        for value in content:
            yield from _strings(value)


def _without(state: dict[str, Any], foreign: dict[str, int]) -> dict[str, Any]:
    """A tokenizer's state without some of its added tokens."""
    if not foreign:
        return state
    kept = [token for token in state["added_tokens"] if token["content"] not in foreign]
    return state | {"added_tokens": kept, "post_processor": _processor(state["post_processor"], set(foreign.values()))}


def _processor(state: Any, ids: set[int]) -> Any:
    """A post-processor that does not write these ids."""
    if isinstance(state, dict) and state.get("type") == "Sequence":
        return state | {"processors": [_processor(part, ids) for part in state["processors"]]}
    if not isinstance(state, dict) or state.get("type") != "TemplateProcessing":
        return state
    written = {token: of for token, of in state["special_tokens"].items() if ids.isdisjoint(of["ids"])}

    def pieces(of: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [piece for piece in of if "SpecialToken" not in piece or piece["SpecialToken"]["id"] in written]

    return state | {
        "single": pieces(state["single"]),
        "pair": pieces(state["pair"]),
        "special_tokens": written,
    }


def _compare(made: Tokens, name: str) -> None:
    """See that the ids are those of transformers.

    Raises:
        InputError: they are not.
    """
    for text in probing_texts(made.tokenizer):
        wanted = [id for id in made.original(text, verbose=False).input_ids if id not in made.foreign]
        if (ids := made.tokenizer.encode(text).ids) != wanted:
            raise InputError(
                f"the tokenizer of {name} does more in transformers than a tokenizer.json can say: it reads "
                f"{text[:40]!r} as {wanted[:12]}, and a device would as {ids[:12]}; give a checkpoint whose "
                "tokenizer.json says all"
            )


def _chat(theirs: Any, foreign: dict[str, int]) -> ChatTemplate | None:
    """The template that transformers would use, with what it would give to it by name; None too where it is no text, or
    longer than any that is in use."""
    template = theirs.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        return None
    named = dict(theirs.special_tokens_map)
    for key, value in named.items():
        if isinstance(value, str) and value in foreign:
            named[key] = ""  # what is left out of texts is left out of chats
    made = ChatTemplate(template, named)
    try:
        made.check("chat")
    except ValueError:
        return None
    return made
