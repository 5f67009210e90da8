"""Every command that the README shows exists and parses."""

from __future__ import annotations

import importlib.util
import itertools
import re
import shlex
import textwrap
from collections.abc import Iterator

import pytest

from tests.project.clis import PARSERS, parses
from tests.project.tree import ROOT

README = ROOT / "README.md"
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def blocks(text: str) -> Iterator[str]:
    """The code blocks that may hold commands: indented ones, and fenced ones in a shell's language."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    for language, block in fence.findall(text):
        if language in ("sh", "bash", "shell"):
            yield block
        elif language == "console":  # Only what follows a prompt; the rest is output.
            yield "\n".join(re.findall(r"^\$ (.*)$", block, re.MULTILINE))
    for block in re.findall(r"(?:^(?: {4}|\t).*\n)+", fence.sub("", text), re.MULTILINE):
        yield textwrap.dedent(block)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in the code blocks; pipes, `&&` and `;` part commands."""
    for block in blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            try:
                words = list(lexer)
            except ValueError:  # An apostrophe in a line of output: no command of ours.
                continue
            parted = itertools.groupby(words, key=lambda word: set(word) <= set("|&;"))
            yield from (list(group) for parts, group in parted if not parts)


def problem(words: list[str]) -> str | None:
    """What is wrong with one command of ours; None if nothing is, or if it is somebody else's."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    words = words[: next((i for i, word in enumerate(words) if word in (">", "<", ">>")), None)]
    match words:
        case ["make", *rest]:
            missing = [word for word in rest if "=" not in word and word not in TARGETS]
            return f"make has no target {missing[0]}" if missing else None
        case [program, *rest] if program.rpartition("/")[2] in PARSERS:
            name = program.rpartition("/")[2]
            return None if parses(name, rest) else f"{name} does not understand {shlex.join(rest)}"
        case [python, "-m", module, *_] if re.search(r"(^|/)python[\d.]*$", python):
            ours = module.partition(".")[0] in ("benchmarks", "cloud_target", "edge_client", "shared", "tests")
            return f"there is no module {module}" if ours and importlib.util.find_spec(module) is None else None
    return None


def test_the_readme_shows_only_what_exists() -> None:
    shown = list(commands(README.read_text(encoding="utf-8")))
    assert ["make", "demo"] in shown
    assert ["make", "test"] in shown
    assert [found for words in shown if (found := problem(words))] == []


@pytest.mark.parametrize("command", ["make nothing", "python -m benchmarks.nothing", "X=1 make test nothing"])
def test_what_does_not_exist_is_seen(command: str) -> None:
    assert [problem(words) for words in commands(f"```sh\n{command}\n```\n")] != [None]


def test_commands_are_parted() -> None:
    text = """
Text.

    make demo  # the first
    it's output

```sh
echo x | edge-client && make test ARGS='-k wire'
```
```console
$ make
make nothing
```
"""
    expected = [["echo", "x"], ["edge-client"], ["make", "test", "ARGS=-k wire"], ["make"], ["make", "demo"]]
    assert list(commands(text)) == expected
