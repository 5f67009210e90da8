"""What a check found: a level, a name, and a sentence that says what to do where there is something to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from shared.errors import TandemError


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: Level
    name: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.level:4} {self.name}: {self.sentence}"


def ok(name: str, sentence: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, name, sentence)


def warn(name: str, sentence: str) -> Finding:
    """It works, but not as it should."""
    return Finding(Level.WARN, name, sentence)


def fail(name: str, sentence: str) -> Finding:
    """It cannot work."""
    return Finding(Level.FAIL, name, sentence)


# A check's name, and the check, which may find several things.
Check = tuple[str, Callable[[], Iterable[Finding]]]


def run_checks(checks: Iterable[Check]) -> Iterator[Finding]:
    """Run checks one after the other; an error ends a check as its failure, never the examination."""
    for name, check in checks:
        try:
            yield from check()
        except TandemError as error:
            yield fail(name, str(error))
        except Exception as error:  # whatever a broken machine comes up with is a finding too
            what = " ".join(str(error).split())[:300]
            yield fail(name, f"{type(error).__name__}: {what or 'no details'}; this check could not be finished")
