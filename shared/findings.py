"""What a check found: a level, a name, and a sentence that says what to do where there is something to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.errors import TandemError


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        values: what was found, for programs.
    """

    level: Level
    name: str
    sentence: str
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.level:4} {self.name}: {self.sentence}"

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        plain = {"level": self.level.value, "name": self.name, "sentence": self.sentence}
        return plain | ({"values": self.values} if self.values else {})


def ok(name: str, sentence: str, /, **values: Any) -> Finding:
    """All is well."""
    return Finding(Level.OK, name, sentence, values)


def warn(name: str, sentence: str, /, **values: Any) -> Finding:
    """It works, but not as it should."""
    return Finding(Level.WARN, name, sentence, values)


def fail(name: str, sentence: str, /, **values: Any) -> Finding:
    """It cannot work."""
    return Finding(Level.FAIL, name, sentence, values)


# A check's name, and the check, which may find several things.
Check = tuple[str, Callable[[], Iterable[Finding]]]


def run_checks(checks: Iterable[Check], tell: Callable[[TandemError], str] = str) -> Iterator[Finding]:
    """Run checks one after the other; an error ends a check as its failure, never the examination.

    Args:
        tell: what people are told of an error of ours.
    """
    for name, check in checks:
        try:
            yield from check()
        except TandemError as error:
            yield fail(name, tell(error), **({"request_id": error.request_id} if error.request_id else {}))
        except Exception as error:  # whatever a broken machine comes up with is a finding too
            what = " ".join(str(error).split())[:300]
            yield fail(name, f"{type(error).__name__}: {what or 'no details'}; this check could not be finished")
