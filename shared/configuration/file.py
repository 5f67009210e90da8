"""The configuration file: where it is, what stands in it, and in which line."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from shared.configuration.origin import Origin, Source
from shared.configuration.program import Program
from shared.errors import InputError

# Of a file, bytes; of a value, lines: no configuration is larger.
_LARGEST, _LONGEST = 1 << 16, 200


@dataclass(frozen=True)
class Entry:
    """One value of the file.

    Attributes:
        table: the command that it is for; "" where it is for all.
        key: the option's long name, without dashes.
        value: as TOML has it.
        origin: where it stands.
    """

    table: str
    key: str
    value: object
    origin: Origin


@dataclass(frozen=True)
class ConfigFile:
    """What stands in a configuration file."""

    program: Program
    path: Path
    entries: tuple[Entry, ...]

    def find(self, command: str, key: str) -> Entry | None:
        """What it says of an option: for this command, or else for all."""
        found = {entry.table: entry for entry in self.entries if entry.key == key}
        return found.get(command) or found.get("")

    def check(self, known: Mapping[str, Collection[str]]) -> None:
        """See that it says nothing that nobody reads.

        Args:
            known: by command, the keys of its options.

        Raises:
            InputError: a key or a table that there is not, or a value where a table is due.
        """
        everywhere = {key for keys in known.values() for key in keys}
        for entry in self.entries:
            if entry.table == "" and entry.key in known:
                self._refuse(entry, f"must be a table: begin it with [{entry.key}]")
            if entry.table == "" and isinstance(entry.value, dict):
                self._refuse(entry, f"there is no such command{self._nearest(entry.key, known)}")
            if entry.key not in (known.get(entry.table, ()) if entry.table else everywhere):
                where = f" of `{self.program.name} {entry.table}`" if entry.table else ""
                near = self._nearest(entry.key, known.get(entry.table, everywhere))
                self._refuse(entry, f"there is no such option{where}{near}")

    def _nearest(self, name: str, known: Collection[str]) -> str:
        """A hint at what was meant."""
        from difflib import get_close_matches

        near = get_close_matches(name.lower().replace("_", "-"), sorted(known), 1, 0.6)
        return f"; did you mean {near[0]}?" if near else f"; `{self.program.name} config show` lists them all"

    def _refuse(self, entry: Entry, why: str) -> NoReturn:
        raise InputError(f"{entry.origin}: {why}")


def read_config(program: Program, commands: Collection[str]) -> ConfigFile | None:
    """The file; None where there is none, and none was named.

    Args:
        commands: whose tables may stand in it.

    Raises:
        InputError: it cannot be read, or is no TOML.
    """
    path = program.config_path()
    if path is None:
        return None
    try:
        if not path.is_file() and path != Path(os.devnull) and path.exists():
            raise InputError(f"{path} is no file; name another one in {program.variable}")
        with open(path, "rb") as file:
            raw = file.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        if os.environ.get(program.variable):
            why = f"which {program.variable} names; make it, or unset that"
            raise InputError(f"there is no file {path}, {why}") from None
        return None
    except OSError as error:
        why = (error.strerror or "it failed").lower()
        raise InputError(f"cannot read {path}: {why}; see who may read it") from None
    if len(raw) > _LARGEST:
        raise InputError(f"{path} has more than {_LARGEST >> 10} KiB, which no configuration has")
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        return ConfigFile(program, path, tuple(_entries(path, text, commands)))
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{path} is no TOML: {why}") from None


def _entries(path: Path, text: str, commands: Collection[str]) -> Iterator[Entry]:
    import tomllib  # where there is no file, nobody waits for it

    lines = _lines(text)

    def entry(table: str, key: str, value: object) -> Entry:
        name = f"{table}.{key}" if table else key
        return Entry(table, key, value, Origin(Source.FILE, name, path, lines.get((table, key))))

    for key, value in tomllib.loads(text).items():
        if key in commands and isinstance(value, dict):
            yield from (entry(key, inner, found) for inner, found in value.items())
        else:
            yield entry("", key, value)


def _lines(text: str) -> dict[tuple[str, str], int]:
    """The line that each key of the top and of its tables stands in, or begins in.

    A statement is as many lines as it takes to be TOML by itself.
    """
    import tomllib

    found: dict[tuple[str, str], int] = {}
    table, begin, lines = "", 0, text.split("\n")
    for end in range(1, len(lines) + 1):
        if end - begin > _LONGEST:
            break
        try:
            said: dict[str, Any] = tomllib.loads("\n".join(lines[begin:end]))
        except (ValueError, RecursionError):
            continue
        is_header = lines[begin].lstrip().startswith("[")
        for key in said:
            found.setdefault(("" if is_header else table, key), begin + 1)
            table = key if is_header else table
        begin = end
    return found
