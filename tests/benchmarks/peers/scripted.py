"""Systems that write what they are told to, and fail when they are told to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.ours import CLOUD
from benchmarks.peers.systems import Link, Pair, Prompt, Session, System, Written
from shared.errors import TandemError

PAIR = Pair(Path("bundle"), Path("target"), Path("draft"), 8, (0,))
PROMPTS = [Prompt(text, [number]) for number, text in enumerate(("one", "two", "three"))]


def made_text(text: str = "a b", tokens: int = 2, total_ms: float = 10.0, passes: float | None = 1.0) -> Written:
    """A text with nothing but what a test is about."""
    return Written(text, tokens, total_ms, passes)


class ScriptedSession:
    """Writes down who writes what in `log`.

    Args:
        fails_at: a prompt, or "finish".
    """

    def __init__(self, name: str, log: list[tuple[str, str]], fails_at: str) -> None:
        self._name, self._log, self._fails_at = name, log, fails_at
        self._written: list[Written] = []

    def write(self, prompt: Prompt) -> None:
        self._log.append((self._name, prompt.text))
        self._fail(prompt.text)
        self._written.append(made_text(prompt.text))

    def finish(self) -> Sequence[Written]:
        self._fail("finish")
        return self._written

    def _fail(self, where: str) -> None:
        if where == self._fails_at:
            raise TandemError(f"no luck with {where}.")


def scripted(
    name: str = CLOUD,
    log: list[tuple[str, str]] | None = None,
    fails_at: str = "",
    is_ours: bool = False,
    package: str = "",
) -> System:
    """A system without models; it fails at "open", a prompt or "finish"."""

    @contextmanager
    def open_(pair: Pair, link: Link, patience: float) -> Iterator[Session]:
        if fails_at == "open":
            raise TandemError("no luck with open")
        yield ScriptedSession(name, [] if log is None else log, fails_at)

    return System(name, "of a test", open_, is_ours, package, "pip install it")
