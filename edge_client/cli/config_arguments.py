"""What `edge-client config` understands: `show`, with the command line that it is about, and `path`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from edge_client.cli.parser import Parser
from shared.configuration.resolve import Commands

_EXAMPLES = """
examples:
  edge-client config show                              every value, and where it comes from
  edge-client config show chat --mode exact            of a chat, begun with this option
  edge-client config show --json
  edge-client config path                              where the file is

A value comes from the first of these that has one: an option of the command line; the environment, where the option
--token-file is TANDEM_TOKEN_FILE; the file, under the command ([chat]), and then at its top; the default. The file is
TOML, and its keys are the names of the options:

  target = "gpu.example:50051"
  token-file = "my.token"
  budget = "2%"

  [chat]
  mode = "auto"

docs/configuration.md tells the rest.
"""


def read_config_command(
    arguments: Sequence[str], parse: Callable[[Sequence[str]], argparse.Namespace], commands: Commands
) -> argparse.Namespace:
    """The options of `config`.

    Args:
        parse: reads the command line that `show` is asked about, whose options become `shown`.
        commands: that may be asked about.
    """
    names = "|".join(commands.parsers)
    parser = Parser(
        prog="edge-client config",
        usage=f"edge-client config show [{names}] [options of that command] [--json]\n       edge-client config path",
        description="Where the values of options come from.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("what", choices=("show", "path"), metavar="show|path")
    options = parser.parse_args(arguments[:1])
    words = [word for word in arguments[1:] if word != "--json"]
    options.command, options.json = f"config {options.what}", len(words) < len(arguments) - 1
    if options.what == "path":
        if words or options.json:
            parser.error(f"unrecognized arguments: {' '.join(arguments[1:])}")
        return options
    command = words.pop(0) if words and words[0] in commands.parsers else "generate"
    options.shown = parse([command, *words])
    if getattr(options.shown, "prompt", None) is not None:
        parser.error(f"there is no command {options.shown.prompt!r} to show; there are {', '.join(commands.parsers)}")
    for other in commands.parsers:
        parse([other])  # what the file says of others must make sense, too
    return options
