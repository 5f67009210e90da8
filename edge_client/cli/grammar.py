"""What a text must keep to, on the command line: a schema, any JSON object, an expression, or a grammar."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_client.cli.prompt import text_of
from edge_client.settings import Options
from shared.errors import InputError
from shared.paths import typed_path

STDIN = "-"


def add_grammar(parser: argparse.ArgumentParser) -> None:
    """The options, of which one may be given."""
    group = parser.add_argument_group("what the text keeps to").add_mutually_exclusive_group()
    group.add_argument(
        "--json-schema",
        type=typed_path,
        metavar="FILE",
        help="JSON as this JSON schema says; - reads it from standard input",
    )
    group.add_argument("--json-object", action="store_true", help="any JSON object")
    group.add_argument("--regex", metavar="EXPRESSION", help="a text that this regular expression matches as a whole")
    group.add_argument(
        "--lark",
        type=typed_path,
        metavar="FILE",
        help="a text of this grammar, in llguidance's dialect of Lark; - reads it from standard input",
    )


def read_grammar(options: argparse.Namespace) -> Options:
    """What the text keeps to.

    Raises:
        InputError: a file that cannot be read, or standard input that is to be the prompt, too.
    """
    if options.json_object:
        return {"json_schema": {"type": "object"}}
    if options.regex is not None:
        return {"regex": options.regex}
    for name, file in (("json-schema", options.json_schema), ("lark", options.lark)):
        if file is not None:
            text = _read(name, str(file), is_prompt_there=options.prompt not in (None, STDIN))
            return {"json_schema": text} if name == "json-schema" else {"lark": text}
    return {}


def _read(name: str, file: str, is_prompt_there: bool) -> str:
    if file == STDIN:
        if not is_prompt_there:
            raise InputError(f"standard input cannot be both --{name} and the prompt; give the prompt in quotes")
        return text_of(sys.stdin.buffer.read())
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        what = f"it takes a file, or {STDIN} for standard input" if file.lstrip()[:1] == "{" else "see that it is there"
        raise InputError(f"cannot read --{name} {file} ({error.strerror or error}); {what}") from None
    except UnicodeDecodeError:
        raise InputError(f"--{name} {file} is not UTF-8 text; convert it first") from None
