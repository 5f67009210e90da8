"""Tokenizers of a few letters, and grammars over them: small enough to look at every text."""

from __future__ import annotations

from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from shared.grammar import library
from shared.grammar.source import of_regex
from shared.wire.v1 import target_pb2 as wire

# Over the first four or more letters; some are forced, some have one way on only after a while.
EXPRESSIONS = ("(ab|cd?a)*", "[a-d]{2,6}", "(abc|ad)+d?", "a*", "b(a|b|cc)*")


@cache
def letters(count: int) -> Tokenizer:
    """A tokenizer whose token i is the i-th letter of the alphabet."""
    made = Tokenizer(models.BPE({chr(ord("a") + i): i for i in range(count)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def kept_to(expression: str, begin: int) -> wire.Grammar:
    """What a session says of a text that matches an expression from a position on."""
    return wire.Grammar(source=of_regex(expression), begin=begin, engine=library.version())
