"""What the texts of a stream must keep to: a grammar, followed for every row that is scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cloud_target.engine.interface import Engine, Feed, Masks
from shared.errors import InputError, ProtocolError
from shared.grammar import library
from shared.grammar.cursor import Cursor
from shared.grammar.engine import GrammarEngine
from shared.grammar.source import MOST_BYTES
from shared.wire.v1 import target_pb2 as wire


def grammars_of(engine: Engine) -> GrammarEngine | None:
    """The grammars that an engine's texts can be kept to; None where it does not know its tokens."""
    tokenizer = engine.tokenizer
    return None if tokenizer is None else GrammarEngine(tokenizer, engine.description.vocabulary)


class Constraint:
    """A grammar and where it begins.

    It is compiled when the first row is to be masked, by whatever thread does that, for it may take a while.

    Args:
        grammars: compiles them, for the tokens of this target.
        source: of the grammar, at most `MOST_BYTES` of UTF-8.
        begin: position of the first token that must keep to it.
        end_ids: tokens that end a text.
        tenant: whose text it is.

    Attributes:
        key: equal where two texts must keep to the same.
    """

    def __init__(
        self, grammars: GrammarEngine, source: str, begin: int, end_ids: Iterable[int], tenant: str = ""
    ) -> None:
        self._grammars, self._source, self._begin, self._tenant = grammars, source, begin, tenant
        self._end_ids = sorted(end_ids)
        self.key = (source, begin, tuple(self._end_ids))
        self._cursor: Cursor | None = None

    @classmethod
    def of(
        cls, message: wire.Session, grammars: GrammarEngine | None, end_ids: Iterable[int], tenant: str = ""
    ) -> Constraint | None:
        """The constraint that a session asks for, if it does.

        Raises:
            InputError: it cannot be kept to here, whatever the grammar is.
            ProtocolError: a rule of the contract is broken.
        """
        if not message.HasField("grammar"):
            return None
        grammar, ours = message.grammar, library.version()
        if grammars is None or not ours:
            raise InputError(
                "this target keeps no text to a schema; its operator can install llguidance, or ask without a schema"
            )
        if grammar.engine != ours:
            raise InputError(
                f"this target follows grammars with {ours}, and the caller with {grammar.engine[:40] or 'nothing'}; "
                "install the same version on both sides, or ask without a schema"
            )
        if len(grammar.source.encode()) > MOST_BYTES:
            raise InputError(f"a grammar has at most {MOST_BYTES} bytes; give a smaller schema")
        if not message.sampling.end_ids:
            raise ProtocolError("a text that keeps to a grammar ends where that does; send the tokens that end a text")
        return cls(grammars, grammar.source, grammar.begin, end_ids, tenant)

    def masks(self, ids: Sequence[int], feed: Feed) -> Masks:
        """What may follow the scored tokens of a feed.

        Args:
            ids: the text up to the feed's first guess.
        """
        first, follows = feed.start + feed.score_from, feed.follows()
        origin = min(self._begin, first + 1)
        text = list(ids[origin : feed.start + feed.needed])

        def work_out() -> np.ndarray:
            paths: dict[int, list[int]] = {}  # the text up to each scored token, from the origin on
            for index in range(feed.score_from, len(feed.tokens)):
                if index < feed.needed:
                    paths[index] = text[: feed.start + index + 1 - origin]
                else:
                    paths[index] = [*paths[follows[index]], feed.tokens[index]]
            before = self._begin - origin
            return self._rows([path[before:] if len(path) >= before else None for path in paths.values()])

        return Masks(self.key, first, work_out)

    def _rows(self, paths: Sequence[Sequence[int] | None]) -> np.ndarray:
        """A mask for each text from where the grammar begins; None where it has not begun."""
        cursor = self._follow()
        rows = np.full((len(paths), cursor.width), 255, np.uint8)
        for row, path in enumerate(paths):
            if path is not None and (allowed := cursor.allowed(path)) is not None:
                rows[row] = allowed.bits
        return rows

    def _follow(self) -> Cursor:
        if self._cursor is None:
            self._cursor = self._grammars.compile(self._source, self._tenant).cursor(self._end_ids)
        return self._cursor
