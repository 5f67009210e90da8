"""Whose options they are: what a program calls its file and its variables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """A program whose options may be configured.

    Attributes:
        name: as it is called.
        prefix: of its options in the environment.
        file: the name of its configuration file.
    """

    name: str
    prefix: str
    file: str

    def variable_of(self, key: str) -> str:
        """What an option is called in the environment."""
        return f"{self.prefix}{key.replace('-', '_').upper()}"

    @property
    def variable(self) -> str:
        """In the environment: the file, in the place of the user's own."""
        return self.variable_of("config")

    def config_path(self) -> Path | None:
        """Where the file is, whether or not it is there: as `variable` says, else in `tandem` in `$XDG_CONFIG_HOME`,
        else in `tandem` in `~/.config`; None where the user has no home."""
        try:
            if given := os.environ.get(self.variable):
                return Path(given).expanduser()
            home = os.environ.get("XDG_CONFIG_HOME")
            return (Path(home).expanduser() if home else Path.home() / ".config") / "tandem" / self.file
        except RuntimeError:
            return None
