"""The command line of the device: its complaints, and that what is not said on it may come from elsewhere."""

from __future__ import annotations

import argparse
from typing import NoReturn

from shared.configuration.parser import ConfigurableParser
from shared.errors import InputError


class PlainParser(argparse.ArgumentParser):
    """Complains in one sentence, as every other error does."""

    def error(self, message: str) -> NoReturn:
        self.exit(InputError.exit_status, f"edge-client: {message}; see `{self.prog} --help`\n")


class Parser(ConfigurableParser, PlainParser):
    """What is not said on its command line may come from elsewhere: see `ConfigurableParser`."""
