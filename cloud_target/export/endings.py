"""Which tokens end a text, by what a checkpoint says of itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import GenerationConfig

from cloud_target.engine.hf.configuration import read_configuration
from cloud_target.engine.hf.reading import one_sentence
from shared.chat.pocket import END_OF_TEXT, END_OF_TURN
from shared.errors import InputError


def end_ids(configs: Iterable[Any], tokenizer: Tokenizer) -> list[int]:
    """Tokens that end a text: what these configurations say does, and those that do so by their name.

    Raises:
        InputError: they say something else than ids.
    """
    ends: set[int] = set()
    for config in configs:
        declared = getattr(config, "eos_token_id", None)
        ids = declared if isinstance(declared, list | tuple) else [] if declared is None else [declared]
        if any(type(id) is not int for id in ids):
            raise InputError(
                f"a text cannot end with {declared!r}, which is no token id; correct eos_token_id in config.json and "
                "generation_config.json: a whole number, or a list of some"
            )
        ends.update(ids)
    ends.update(id for id in map(tokenizer.token_to_id, (END_OF_TEXT, END_OF_TURN)) if id is not None)
    return sorted(id for id in ends if 0 <= id < 1 << 32 and tokenizer.id_to_token(id) is not None)


def declared_ends(source: str | Path, tokenizer: Tokenizer) -> list[int]:
    """The same of a directory or a Hugging Face id, without its weights.

    Raises:
        InputError: its configuration cannot be read.
    """
    with one_sentence(f"the configuration of {source} cannot be read"):
        config = read_configuration(source)
        try:
            generation = GenerationConfig.from_pretrained(source)
        except OSError:  # it has no such file, and transformers makes it of the other
            generation = GenerationConfig.from_model_config(config)
    return end_ids((generation, config), tokenizer)


def united_ends(
    draft: Collection[int], target: Collection[int], tokenizer: Tokenizer, tell: Callable[[str], None]
) -> list[int]:
    """What ends a pair's texts: whatever ends those of one of them, so that no answer runs past the target's turn."""
    ends = sorted({*draft, *target})
    if set(draft) != set(target):
        words = [", ".join(map(tokenizer.id_to_token, sorted(ids))) or "nothing" for ids in (draft, target, ends)]
        tell(f"the draft's texts end with {words[0]}, the target's with {words[1]}; the bundle's end with {words[2]}")
    return ends
