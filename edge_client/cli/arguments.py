"""What the command line of the device understands."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from edge_client.cli.bundle_arguments import fill_kept_parser
from edge_client.cli.config_arguments import read_config_command
from edge_client.cli.doctor_arguments import doctor_parser
from edge_client.cli.grammar import add_grammar
from edge_client.cli.numbers import whole
from edge_client.cli.options import add_bundle, add_drawing, add_showing, add_target, add_writing
from edge_client.cli.parser import Parser
from edge_client.cli.spending import add_spending
from edge_client.cli.usage_arguments import usage_parser
from edge_client.configuration.program import EDGE
from edge_client.settings import LOCAL_ONLY, Settings, is_local_only
from shared.config import Coupling, Mode
from shared.configuration.origin import DEFAULT, Origin, Source
from shared.configuration.resolve import Commands, resolve
from shared.configuration.told import told
from shared.errors import InputError
from shared.paths import typed_path
from shared.version import add_version_option

_EXAMPLES = """
examples:
  edge-client "Once upon a time"
  echo "The little robot" | edge-client --max-tokens 200
  edge-client --chat "I would like to book a table for two."
  edge-client --budget 0.002 "Once upon a time"        fewer mistakes, more calls
  edge-client --criterion strict --budget 0.05 "Tom"   count every token that is not the target's own
  edge-client --mode local "Once upon a time"          without a target
  edge-client --mode exact --temperature 0 "Tom"       the target's own text, token for token
  edge-client --mode auto --explain "Tom"              whichever mode is fastest over this link, and why
  edge-client --target gpu.example:50051 --bundle my-bundle "Once upon a time"
  edge-client --adapter poet "Once upon a time"        with a LoRA adapter of the target
  edge-client --target gpu.example:50051 --tls --token-file my.token "Once upon a time"
  edge-client --json "Once upon a time" | python -m json.tool
  edge-client --json-schema booking.json "A table"     JSON that keeps to a schema
  edge-client chat                                     a conversation, with the bundle's chat template
  edge-client serve                                    a server on this device that speaks OpenAI's API
  edge-client doctor --target gpu.example:50051        what is wrong here or on the way, and whether it pays
  edge-client config show                              every option's value, and where it comes from
  edge-client bundle list                              the bundles that targets have sent
  edge-client --price-out 2 --cap-money 5 "Tom"        count what the target costs, and spend no more than 5 a day
  edge-client usage --days 7                           what was spent, day by day
  edge-client info                                     what the bundle is
  edge-client verifier report                          what it promises, and what audits have shown so far
  edge-client verifier reset                           forget what audits have shown

options may stand in a file, too, and in the environment, --max-tokens as TANDEM_MAX_TOKENS: edge-client config --help
exit status: 0 done; 2 something given cannot be used; 3 the target cannot be asked; 130 interrupted; 1 any other error.
"""

_SERVE_EXAMPLES = """
examples:
  edge-client serve                                    http://127.0.0.1:8080/v1, for tools on this device
  edge-client serve --target gpu.example:50051 --tls --token-file my.token --bundle my-bundle
  edge-client serve --mode local --port 9000           nothing ever leaves this device
  edge-client serve --host 0.0.0.0 --api-key-file key --https-cert cert.pem --https-key key.pem

  curl http://127.0.0.1:8080/v1/completions -H 'Content-Type: application/json' \\
    -d '{"model": "pocket", "prompt": "Once upon a time", "tandem": {"mode": "exact"}}'

A request may choose for itself what the options below say of all; docs/server.md has the fields.
"""

_CHAT_EXAMPLES = """
examples:
  edge-client chat
  edge-client chat --mode local                        nothing leaves this device, unless a command changes the mode
  edge-client chat --system "You are a waiter." --target gpu.example:50051 --tls --token-file my.token
  edge-client chat -q --mode exact < questions.txt     a line is a turn; the answers go to standard output

Lines that begin with a slash are commands; /help lists them.

exit status: 0 the user ended it, or its input did; that of the last error, as those of edge-client, where turns come
from a pipe and one could not be answered, not by /retry either.
"""

# Words of each command.
_COMMANDS = {
    "info": 1,
    "bundle": 2,
    "serve": 1,
    "chat": 1,
    "usage": 1,
    "verifier": 2,
    "generate": 1,
    "doctor": 1,
    "config": 2,
}


def parse_args(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line, and for what it does not say the environment and the configuration file.

    Ends the process with status 2 if the command line makes no sense.

    Raises:
        InputError: the file, or a value in it or in the environment, cannot be used.
    """
    parser, options = _read(arguments)
    options = resolve(options, COMMANDS, forgives=options.command == "doctor")  # which finds what is wrong with it
    return _checked(parser, options) if hasattr(options, "learn") else options


def _read(arguments: Sequence[str]) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """The command line itself, and the parser that understood it."""
    parser: argparse.ArgumentParser = generate_parser()
    match _command_first(parser, arguments):
        case ["info", *rest]:
            parser = _bundle_parser("info", "What a bundle is.", "edge-client info --bundle my-bundle")
            return parser, parser.parse_args(rest)
        case ["bundle", *rest]:
            parser = Parser(prog="edge-client bundle", description="The bundles that this device keeps.")
            return parser, fill_kept_parser(parser).parse_args(rest)
        case ["verifier", *rest]:
            parser = _verifier_parser()
            return parser, parser.parse_args(rest)
        case ["usage", *rest]:
            parser = usage_parser()
            options = parser.parse_args(rest)
            if options.yes and not options.reset:
                parser.error("--yes confirms --reset; give both")
            return parser, options
        case ["config", *rest]:
            return parser, read_config_command(rest, parse_args, COMMANDS)
        case ["generate", *rest]:
            arguments = rest
        case [command, *rest] if command in COMMANDS.parsers:
            parser = COMMANDS.parsers[command]()
            return parser, parser.parse_args(rest)
    options, unknown = parser.parse_known_args(arguments)
    misspelt = [word for word in unknown if word.startswith("-")]
    if unknown and not misspelt:
        prompt = " ".join([options.prompt, *unknown])
        parser.error(f'a prompt of several words goes in quotes, as in: edge-client "{prompt}"')
    if misspelt:  # of the other words nobody knows which are their values
        parser.error(f"unrecognized arguments: {' '.join(misspelt)}")
    return parser, options


def _checked(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """The options, of which none is without the others that it needs; a standing wish that does not apply gives way."""
    origins = options.origins

    def refuse(sentence: str) -> NoReturn:
        parser.error(told(InputError(sentence), origins))

    if is_local_only() and origins["mode"].is_standing:
        options.mode, origins["mode"] = Mode.LOCAL.value, Origin(Source.ENVIRONMENT, LOCAL_ONLY)
    if options.learn and options.no_memory and origins["learn"].is_standing and not origins["no_memory"].is_standing:
        options.learn, origins["learn"] = False, DEFAULT
    if options.learn and options.no_memory:
        refuse("--learn keeps what it learns from run to run, and --no-memory forbids that; give one of them")
    if options.learn and (options.mode not in (Mode.SPRINT, Mode.AUTO) or options.budget == 0):
        if not origins["learn"].is_standing:
            refuse("--learn teaches the verifier, which only --mode sprint and auto use, with a --budget above 0")
        options.learn, origins["learn"] = False, DEFAULT
    if options.mode != Mode.AUTO:
        for name in ("prefer", "explain"):
            if getattr(options, name, None) != parser.get_default(name) and not origins[name].is_standing:
                refuse(f"--{name} is about the choice that only --mode auto makes; give both")
    elif options.coupling == Coupling.RESIDUAL:
        refuse("--mode auto goes from mode to mode, which needs --coupling gumbel")
    return options


def _command_first(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """The words with the command in front, wherever options stand: `--bundle DIR info` is `info --bundle DIR`."""
    words, plain, is_value = list(arguments), [], False
    for i, word in enumerate(words):
        if is_value:
            is_value = False
        elif word == "--":
            break
        elif word.startswith("-") and word != "-":
            option = parser._option_string_actions.get(word)  # none, where the value is in the same word
            is_value = option is not None and option.nargs != 0
        else:
            plain.append(i)
    length = _COMMANDS.get(words[plain[0]], 0) if plain else 0
    front = plain[:length]
    return [*(words[i] for i in front), *(word for i, word in enumerate(words) if i not in front)]


def _stop_text(text: str) -> str:
    """A stop string as it is typed: shells do not turn backslash and n into a line's end."""
    meant = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    return re.sub(r"\\([ntr\\])", lambda found: meant[found[1]], text)


def generate_parser() -> Parser:
    """What understands all but the commands about a bundle."""
    parser = Parser(
        prog="edge-client",
        usage='edge-client [generate] [options] "PROMPT"\n       edge-client chat [options]\n'
        "       edge-client serve [options]\n"
        "       edge-client usage [--days N] [--target TARGET] [--json]\n"
        "       edge-client doctor [options]\n"
        "       edge-client config show|path [options]\n"
        "       edge-client info [--bundle DIR] [--json]\n"
        "       edge-client bundle list|pull|add|verify|remove\n"
        "       edge-client verifier report|reset [--bundle DIR]",
        description="Write a text on this device, and have a large model in the cloud judge what a small one doubts.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_version_option(parser)
    parser.set_defaults(command="generate")
    parser.add_argument(
        "prompt",
        nargs="?",
        metavar="PROMPT",
        help="what to go on from; none, or -, reads standard input, without the last line's end",
    )
    parser.add_argument("--verbatim", action="store_true", help="keep the last line's end of standard input, too")
    parser.add_argument("--chat", action="store_true", help="take the prompt as what a user says, and write the answer")
    parser.add_argument(
        "--max-tokens",
        type=whole,
        default=Settings.max_tokens,
        metavar="N",
        help="most tokens to write (default: %(default)s)",
    )
    parser.add_argument(
        "--stop",
        action="append",
        default=[],
        type=_stop_text,
        metavar="TEXT",
        help=r"end the text before TEXT; may be given several times; \n, \t and \r mean what they usually do, \\ is a "
        "backslash",
    )
    group = add_writing(parser)
    group.add_argument(
        "--explain", action="store_true", help="with --mode auto, say who led and why, in a sentence with the numbers"
    )
    group = add_drawing(parser)
    group.add_argument(
        "--seed",
        type=whole,
        metavar="N",
        help="seed of the noise that both models share (default: another one for every text, which is told)",
    )
    add_grammar(parser)
    add_target(parser)
    add_spending(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json",
        action="store_true",
        help="one line of JSON about the run instead of the text, also if it could not be finished",
    )
    add_showing(group)
    return parser


def _serve_parser() -> Parser:
    parser = Parser(
        prog="edge-client serve",
        description="Serve texts of this device to tools that speak OpenAI's API.",
        epilog=_SERVE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command="serve")
    group = parser.add_argument_group("where it listens, and to whom")
    group.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, for this device alone; any other takes a key and a "
        "certificate)",
    )
    group.add_argument(
        "--port", type=whole, default=8080, metavar="N", help="0 is any that is free (default: %(default)s)"
    )
    group.add_argument(
        "--api-key-file",
        type=typed_path,
        metavar="FILE",
        help="file with the key that clients have to show; or put the key itself into TANDEM_API_KEY",
    )
    group.add_argument("--https-cert", type=typed_path, metavar="FILE", help="certificate of this server, PEM")
    group.add_argument("--https-key", type=typed_path, metavar="FILE", help="its key, PEM without a pass phrase")
    group.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages from there ask, like https://chat.example; may be given several times; * is any",
    )
    group.add_argument(
        "--texts", type=whole, default=8, metavar="N", help="most texts written at once (default: %(default)s)"
    )
    group.add_argument(
        "--waiting",
        type=whole,
        default=64,
        metavar="N",
        help="most texts that wait for their turn (default: %(default)s)",
    )
    add_writing(parser)
    add_drawing(parser)
    add_target(parser)
    add_spending(parser)
    return parser


def _chat_parser() -> Parser:
    parser = Parser(
        prog="edge-client chat",
        description="Talk with the models in several turns, as the bundle's chat template writes them.",
        epilog=_CHAT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command="chat")
    parser.add_argument(
        "--system", default="", metavar="TEXT", help="what the model is told before all turns (default: nothing)"
    )
    parser.add_argument(
        "--max-tokens",
        type=whole,
        metavar="N",
        help="most tokens of an answer (default: as many as it takes, and as the context holds)",
    )
    add_writing(parser)
    group = add_drawing(parser)
    group.add_argument(
        "--seed",
        type=whole,
        metavar="N",
        help="seed of the noise that both models share, the same for every answer; /retry takes the next "
        "(default: another one for every answer; /stats shows it)",
    )
    add_target(parser)
    add_spending(parser)
    add_showing(parser.add_argument_group("output"))
    return parser


def _verifier_parser() -> Parser:
    parser = Parser(
        prog="edge-client verifier", description="What the bundle promises, and what is remembered of the audits."
    )
    steps = parser.add_subparsers(metavar="report|reset", required=True)
    for name, text in (
        ("report", "what the bundle promises, and what audits have shown so far"),
        ("reset", "forget what audits have shown, and begin from the bundle's own calibration again"),
    ):
        _fill_bundle_parser(
            steps.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."),
            f"verifier {name}",
            f"edge-client verifier {name} --bundle my-bundle",
        )
    return parser


def _bundle_parser(command: str, text: str, example: str) -> Parser:
    return _fill_bundle_parser(Parser(prog=f"edge-client {command}", description=text), command, example)


def _fill_bundle_parser(parser: Parser, command: str, example: str) -> Parser:
    """What the commands about a bundle have in common."""
    parser.set_defaults(command=command)
    parser.epilog = f"example:\n  {example}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_bundle(parser)
    if not command.endswith("reset"):
        parser.add_argument("--json", action="store_true", help="as one line of JSON")
    return parser


# Those whose options may stand in a configuration file.
COMMANDS = Commands(
    EDGE, {"generate": generate_parser, "chat": _chat_parser, "serve": _serve_parser, "doctor": doctor_parser}
)
