"""What systems have in common here: they are opened over a link, write after prompts, and tell what that took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Pair:
    """The models, and how much of them is wanted.

    Attributes:
        bundle: directory of the draft's bundle.
        target: directory of the target's checkpoint.
        draft: directory of the draft as a checkpoint.
        tokens: most tokens a text.
        end_ids: which end one.
    """

    bundle: Path
    target: Path
    draft: Path
    tokens: int
    end_ids: Sequence[int]


@dataclass(frozen=True)
class Prompt:
    """What is gone on from: a text, and the ids that a tokenizer makes of it."""

    text: str
    ids: Sequence[int]


@dataclass(frozen=True)
class Written:
    """One text.

    Attributes:
        text: without special tokens.
        tokens: how many they are, as the system counts them.
        total_ms: from the request until the last of them is with the device.
        passes: of the target, the prompt's included; None where the system does not tell.
    """

    text: str
    tokens: int
    total_ms: float
    passes: float | None


class Session(Protocol):
    """A system that is loaded, connected and warm."""

    def write(self, prompt: Prompt) -> None:
        """Write one text. It returns when that is done."""

    def finish(self) -> list[Written]:
        """All that was written, in order; some tell only at the end. Nothing can be written after it."""


# Puts a link before an address, host:port, and gives the address on the device's side of it.
Link = Callable[[str], str]


@dataclass(frozen=True)
class System:
    """One way of writing a text.

    Attributes:
        name: for tables.
        words: what it is, for people.
        open: as a session over a link, which must be ready within so many seconds.
        is_ours: whether it is Tandem, so that nothing may go wrong with it.
        package: that must be there to be imported; "" for nothing that the benchmarks do not need anyway.
        install: how to get it.
    """

    name: str
    words: str
    open: Callable[[Pair, Link, float], AbstractContextManager[Session]]
    is_ours: bool = False
    package: str = ""
    install: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether it can be tried."""
        return not self.package or find_spec(self.package) is not None
