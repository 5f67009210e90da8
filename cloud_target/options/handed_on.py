"""Options turned back into a command line, for commands that take those of others over."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from shared.configuration.options import takes_several


def flags(options: argparse.Namespace, add_options: Callable[[argparse.ArgumentParser], None]) -> list[str]:
    """Those of these options that stand on the command line, by their flags.

    Args:
        options: as a `ConfigurableParser` read them.
        add_options: adds the options that count to a parser.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    return [options.said[action.dest] for action in parser._actions if action.dest in options.said]


def given(options: argparse.Namespace, add_options: Callable[[argparse.ArgumentParser], None]) -> list[str]:
    """Those of these options that differ from their defaults, as words of a command line.

    Args:
        options: as they were read.
        add_options: adds the options that count to a parser.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    words: list[str] = []
    for action in parser._actions:
        name, value = action.option_strings[-1], getattr(options, action.dest)
        if value == action.default:
            continue
        if action.nargs == 0:
            words.append(name)
        for each in () if action.nargs == 0 else value if takes_several(action) else (value,):
            words += [name, str(each)]
    return words
