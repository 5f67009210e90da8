"""Grammars over one tokenizer: compiled once and followed by cursors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from shared.errors import InputError, first_line
from shared.grammar.cursor import Cursor
from shared.grammar.library import llguidance
from shared.grammar.shelf import Shelf

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

# Compiled grammars that are kept, of all tenants together; one takes memory by its size, and by what was met while it
# was followed.
MOST_KEPT = 32
# A grammar may come from a stranger. States of its lexer, at 1 to 2 kB each, and symbols: far more than schemas have.
# What one step may cost is llguidance's own limit, some 20 ms.
_MOST_STATES = 20_000
_MOST_SYMBOLS = 200_000
# Stands for the end in the library's eyes, whichever tokens end a text; no tokenizer has it.
_END = "<|end of what the grammar allows|>"


@dataclass(frozen=True)
class Grammar:
    """A compiled grammar.

    Attributes:
        source: what it was made of.
    """

    source: str
    _matcher: LLMatcher
    _vocabulary: int
    _end: int

    def cursor(self, end_ids: Iterable[int]) -> Cursor:
        """What follows one text, from its first token on.

        Args:
            end_ids: tokens that end a text: allowed where the grammar is complete, and nowhere else.
        """
        return Cursor(self._matcher.deep_copy(), self._vocabulary, self._end, end_ids)


class GrammarEngine:
    """Compiles grammars for the tokens of one tokenizer. Use from any thread.

    Args:
        tokenizer: between bytes and ids. The masks are a function of it, of the grammar and of token ids alone.
        vocabulary: ids are below it.
    """

    def __init__(self, tokenizer: Tokenizer, vocabulary: int) -> None:
        self._tokenizer, self._vocabulary = tokenizer, vocabulary
        self._tokens: tuple[LLTokenizer, int] | None = None
        self._kept: Shelf[Grammar] = Shelf(MOST_KEPT)
        self._lock = Lock()

    def compile(self, source: str, tenant: str = "") -> Grammar:
        """Compile a grammar, or find it compiled. Takes a millisecond for most, and a second for some.

        Args:
            source: as `shared.grammar.source` makes it.
            tenant: for whom: of others' grammars none is found, and where each has its share of those that are kept,
                none is lost to them.

        Raises:
            InputError: llguidance is not installed, cannot read the tokenizer, or does not take the grammar.
        """
        with self._lock:
            if (found := self._kept.get(tenant, source)) is not None:
                return found
            if self._tokens is None:
                self._tokens = self._read_tokens()
            tokens, end = self._tokens
        library = llguidance()
        limits = library.LLParserLimits(
            max_lexer_states=_MOST_STATES, max_grammar_size=_MOST_SYMBOLS, verbose_errors=False
        )
        matcher = library.LLMatcher(tokens, source, log_level=0, limits=limits)
        if error := matcher.get_error():
            raise InputError(f"no text can be kept to this schema or grammar: {_sentence(error)}")
        made = Grammar(source, matcher, self._vocabulary, end)
        with self._lock:
            self._kept.put(tenant, source, made)
        return made

    def _read_tokens(self) -> tuple[LLTokenizer, int]:
        """The tokenizer as the library sees it, and the id of the end in it."""
        library = llguidance()
        copy = Tokenizer.from_str(self._tokenizer.to_str())
        copy.no_truncation()
        copy.no_padding()
        copy.add_special_tokens([_END])
        end = copy.token_to_id(_END)
        try:
            return library.LLTokenizer(copy.to_str(), eos_token=[end]), end
        except ValueError as error:
            raise InputError(
                f"the tokens of this model cannot be kept to a grammar: {first_line(error)}; write without a schema"
            ) from None


def _sentence(error: str) -> str:
    """What the library says, in one line."""
    return " ".join(error.split())[:300].rstrip(".")
