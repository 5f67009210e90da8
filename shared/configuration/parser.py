"""A command line that remembers what was said on it, so that what was not can come from elsewhere."""

from __future__ import annotations

import argparse
from typing import Any

from shared.configuration.options import check_given, is_switch, key_of, switched, takes_several

# In the place of a value that no flag has given.
_UNSAID = object()


class ConfigurableParser(argparse.ArgumentParser):
    """What is not said on its command line may come from elsewhere.

    Options that may be configured get no default here. The namespace has two attributes more: `said`, the flag by
    attribute, and `unsaid`, a list of parsers and actions; `shared.configuration.resolve` takes them away.

    A switch that may be configured can be turned off, too: with `no-` before its name, or without it.

    Attributes:
        is_configurable: where it is not, this is a parser like any other.
    """

    is_configurable = True

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse`; the parsers of subcommands come here, too."""
        if not self.is_configurable:
            return super().parse_known_args(args, namespace)
        options = argparse.Namespace() if namespace is None else namespace
        mine = [action for action in self._actions if key_of(action)]
        for action in mine:
            self._add_opposite(action)
            setattr(options, action.dest, None if takes_several(action) else _UNSAID)
        options, rest = super().parse_known_args(args, options)
        options.said, options.unsaid = getattr(options, "said", {}), getattr(options, "unsaid", [])
        for action in mine:
            value = getattr(options, action.dest)
            if value is _UNSAID or (value is None and takes_several(action)):
                options.unsaid.append((self, action))
            else:
                options.said[action.dest] = _flag(action, value)
        return options, rest

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """See `argparse`; what stands in a file or in the environment comes here, too."""
        if self.is_configurable:
            check_given(action, arg_string)
        return super()._get_value(action, arg_string)

    def _add_opposite(self, action: argparse.Action) -> None:
        opposite = _opposite(action)
        if is_switch(action) and opposite not in self._option_string_actions:
            kind = "store_false" if action.const else "store_true"
            self.add_argument(opposite, dest=action.dest, action=kind, help=argparse.SUPPRESS)


def _opposite(action: argparse.Action) -> str:
    key = key_of(action) or ""
    opposite = key.removeprefix("no-") if key.startswith("no-") else f"no-{key}"
    return f"--{opposite}"


def _flag(action: argparse.Action, value: object) -> str:
    return _opposite(action) if is_switch(action) and value is not switched(action, True) else f"--{key_of(action)}"
