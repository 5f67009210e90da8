"""Where the value of an option came from, as people are told it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Source(StrEnum):
    """What a value was read from; a later one goes before an earlier one."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True)
class Origin:
    """Of one value.

    Attributes:
        source: what it was read from.
        name: of the flag, of the variable, or of the key, with its table; "" where it is a default.
        file: that it stands in.
        line: of the file, from 1; None where nobody knows.
    """

    source: Source
    name: str = ""
    file: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        match self.source:
            case Source.DEFAULT:
                return "default"
            case Source.FILE:
                return f"{self.name} in {self.file}" + (f", line {self.line}" if self.line else "")
            case Source.ENVIRONMENT:
                return f"{self.name} in the environment"
        return self.name

    @property
    def is_standing(self) -> bool:
        """Whether it holds until somebody changes the file or the environment, whatever is asked for this time."""
        return self.source in (Source.FILE, Source.ENVIRONMENT)


DEFAULT = Origin(Source.DEFAULT)
