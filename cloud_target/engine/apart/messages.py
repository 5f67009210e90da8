"""What the two processes of an engine apart say to each other: the calls of `Engine`, and what it takes for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum, auto
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from cloud_target.engine.interface import Description, Engine, Feed, Masks, Vitals
from shared.errors import TandemError


class Call(Enum):
    """What the engine is to do; its arguments follow."""

    FORWARD = auto()
    TRIM = auto()  # which has no answer
    COPY = auto()
    CHECK = auto()


class Answer(Enum):
    """What the other process says; what it is about follows."""

    READY = auto()  # `Features`
    NOTE = auto()  # a sentence for people, while it loads
    DONE = auto()  # what the call gives
    FAILED = auto()  # `Failure`
    TEXT = auto()  # the ids of which feed's text are wanted


@dataclass(eq=False)
class Features:
    """All of an engine but what it does; see `Engine`."""

    description: Description
    context: int
    capacity: int
    block: int
    token_bytes: int
    chunk: int
    step: float
    branches: bool
    tokenizer: Tokenizer | None

    @classmethod
    def of(cls, engine: Engine) -> Features:
        """Those of this one."""
        return cls(*(getattr(engine, field.name) for field in fields(cls)))


@dataclass(frozen=True)
class Passed:
    """What a pass gives: the scores or errors of its feeds, and how the engine is after it."""

    found: list[Any]
    vitals: Vitals


@dataclass(frozen=True)
class Failure:
    """An error that came out of a call.

    Attributes:
        error: itself, where both processes know it without loading more; else None.
        kind: the name of its class.
        frames: where it came from, without its message, which might hold some of a text.
    """

    error: Exception | None
    kind: str
    frames: str

    @classmethod
    def of(cls, error: Exception, frames: str) -> Failure:
        """Of this one."""
        known = isinstance(error, TandemError) or type(error).__module__ == "builtins"
        return cls(error if known else None, type(error).__name__, frames)


@dataclass(frozen=True)
class Packed:
    """A feed as it travels.

    Attributes:
        feed: without its masks, its text and whom it tells.
        key, rows: of its masks; rows are None where there are none.
        length: of its text.
    """

    feed: Feed
    key: object
    rows: np.ndarray | None
    length: int

    @classmethod
    def of(cls, feed: Feed) -> Packed:
        """This one."""
        bare = replace(feed, read=None, masks=None, text=())
        if feed.masks is None:
            return cls(bare, None, None, len(feed.text))
        return cls(bare, feed.masks.key, feed.masks.rows(feed), len(feed.text))

    def unpack(self, fetch: Callable[[], list[int]]) -> Feed:
        """The feed again.

        Args:
            fetch: gives the ids of its text, should they be wanted.
        """
        rows, first = self.rows, self.feed.start + self.feed.score_from
        masks = None if rows is None else Masks(self.key, first, lambda: rows)
        return replace(self.feed, masks=masks, text=Elsewhere(self.length, fetch) if self.length else ())


class Elsewhere(Sequence[int]):
    """The ids of a text that stay where they are until somebody looks: one answer in a million needs them.

    Args:
        length: how many there are.
        fetch: gives all of them.
    """

    def __init__(self, length: int, fetch: Callable[[], list[int]]) -> None:
        self._length, self._fetch = length, fetch
        self._ids: list[int] | None = None

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if self._ids is None:
            self._ids = self._fetch()
        return self._ids[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self[:])
