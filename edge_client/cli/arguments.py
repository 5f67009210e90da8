"""What the command line of the device understands."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from typing import NoReturn

from edge_client.bundles.pocket import POCKET
from edge_client.cli.numbers import number, share, whole
from edge_client.settings import EXACT_WINDOW, RESIDUAL_WINDOW, SPRINT_WINDOW, Prefer, Settings
from edge_client.target.credentials import Credentials, read_token
from edge_client.target.retry import Retry
from shared.config import Coupling, Criterion, Mode
from shared.errors import InputError
from shared.paths import typed_path
from shared.version import add_version_option

TARGET = "127.0.0.1:50051"

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
  edge-client --target gpu.example:50051 --tls --token-file my.token "Once upon a time"
  edge-client --json "Once upon a time" | python -m json.tool
  edge-client info                                     what the bundle is
  edge-client verifier report                          what it promises, and what audits have shown so far
  edge-client verifier reset                           forget what audits have shown

exit status: 0 done; 2 something given cannot be used; 3 the target cannot be asked; 130 interrupted; 1 any other error.
"""

# Words of each command.
_COMMANDS = {"info": 1, "verifier": 2, "generate": 1}


class _Parser(argparse.ArgumentParser):
    """Complains in one sentence, as every other error does."""

    def error(self, message: str) -> NoReturn:
        self.exit(InputError.exit_status, f"edge-client: {message}; see `{self.prog} --help`\n")


def parse_args(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it makes no sense."""
    parser = generate_parser()
    match _command_first(parser, arguments):
        case ["info", *rest]:
            return _bundle_parser("info", "What a bundle is.", "edge-client info --bundle my-bundle").parse_args(rest)
        case ["verifier", *rest]:
            return _verifier_parser().parse_args(rest)
        case ["generate", *rest]:
            arguments = rest
    options, unknown = parser.parse_known_args(arguments)
    misspelt = [word for word in unknown if word.startswith("-")]
    if unknown and not misspelt:
        prompt = " ".join([options.prompt, *unknown])
        parser.error(f'a prompt of several words goes in quotes, as in: edge-client "{prompt}"')
    if misspelt:  # of the other words nobody knows which are their values
        parser.error(f"unrecognized arguments: {' '.join(misspelt)}")
    if options.learn and options.no_memory:
        parser.error("--learn keeps what it learns from run to run, and --no-memory forbids that; give one of them")
    if options.learn and (options.mode not in (Mode.SPRINT, Mode.AUTO) or options.budget == 0):
        parser.error("--learn teaches the verifier, which only --mode sprint and auto use, with a --budget above 0")
    if options.mode != Mode.AUTO:
        for name in ("prefer", "explain"):
            if getattr(options, name) != parser.get_default(name):
                parser.error(f"--{name} is about the choice that only --mode auto makes; give both")
    elif options.coupling == Coupling.RESIDUAL:
        parser.error("--mode auto goes from mode to mode, which needs --coupling gumbel")
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


def generate_parser() -> argparse.ArgumentParser:
    """What understands all but the commands about a bundle."""
    parser = _Parser(
        prog="edge-client",
        usage='edge-client [generate] [options] "PROMPT"\n       edge-client info [--bundle DIR] [--json]\n'
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
    group = parser.add_argument_group("who writes")
    group.add_argument(
        "--mode",
        choices=[mode.value for mode in Mode],
        metavar="MODE",
        default=Settings.mode.value,
        help="sprint: the device, asking where it doubts (default); exact: the target's own text, from guesses of the "
        "device; local: the device alone; cloud: the target alone; auto: sprint, exact or cloud, by what is measured",
    )
    group.add_argument(
        "--prefer",
        choices=[prefer.value for prefer in Prefer],
        metavar="WHAT",
        default=Settings.prefer.value,
        help="what --mode auto makes least of: speed, the time until a token is shown (default); cost, the target's "
        "work; energy, the work of both sides",
    )
    group.add_argument(
        "--explain", action="store_true", help="with --mode auto, say who led and why, in a sentence with the numbers"
    )
    group.add_argument(
        "--budget",
        type=share,
        default=Settings.budget,
        metavar="SHARE",
        help="most off-target tokens per token shown: 0.01, or 1%%; 0 is --mode exact (default: %(default)s)",
    )
    group.add_argument(
        "--criterion",
        choices=[criterion.value for criterion in Criterion],
        metavar="RULE",
        default=Settings.criterion.value,
        help="what is off-target: strict, any token other than the target's own; typical, such a token if the target "
        "would hardly have written it, or if it goes on with a repetition (default)",
    )
    group.add_argument(
        "--window",
        type=whole,
        metavar="N",
        help=f"sprint: accepted tokens in a row after which they are audited (default: {SPRINT_WINDOW}); exact: tokens "
        f"guessed ahead (default: {EXACT_WINDOW}, with the residual coupling {RESIDUAL_WINDOW})",
    )
    group.add_argument(
        "--no-memory",
        action="store_true",
        help="sprint: start from the bundle's own calibration and keep nothing, so that the same seed gives the same "
        "text again; without it the audits of every run teach the next one. auto: nor what it measures of the target",
    )
    group.add_argument(
        "--learn",
        action="store_true",
        help="sprint: let the audits teach the verifier too; used only while they say that it got better. Worth it for "
        "a bundle whose verifier was not trained; a trained one gains little",
    )
    group.add_argument("--no-audit", action="store_true", help="do not have the tokens after the last call audited")
    group = parser.add_argument_group("how tokens are drawn")
    for option, kind, letter, text in (
        ("--temperature", number, "T", "the lower, the likelier the tokens; 0 takes the likeliest"),
        ("--top-p", share, "P", "keep only the likeliest tokens that make up this probability; 1 keeps all"),
        ("--top-k", whole, "K", "keep only the K likeliest tokens; 0 keeps all"),
        ("--seed", whole, "N", "seed of the noise that both models share"),
    ):
        default = getattr(Settings, option.strip("-").replace("-", "_"))
        group.add_argument(option, type=kind, default=default, metavar=letter, help=f"{text} (default: %(default)s)")
    group.add_argument(
        "--coupling",
        choices=[coupling.value for coupling in Coupling],
        metavar="KIND",
        default=Settings.coupling.value,
        help="gumbel: both models share their noise (default); residual: the SPRINTER paper's accept and redraw, with "
        "which --mode exact has the target's distribution, but not the very text of --mode cloud",
    )
    group = parser.add_argument_group("where things are")
    target = os.environ.get("TANDEM_TARGET") or TARGET
    group.add_argument(
        "--target",
        default=target,
        metavar="HOST:PORT",
        help=f"where `cloud-target serve` listens (default: {TARGET}; environment: TANDEM_TARGET)",
    )
    group.add_argument(
        "--timeout",
        type=number,
        metavar="SECONDS",
        help="give up when the target has not answered for so long (default: 3 where it was never reached, "
        f"{Retry.total:.0f} in the middle of a text)",
    )
    _add_bundle(group)
    _add_access(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json",
        action="store_true",
        help="one line of JSON about the run instead of the text, also if it could not be finished",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="the text only, no line about the run")
    group.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour tokens by origin (default: %(default)s)",
    )
    group.add_argument(
        "--provisional",
        choices=("auto", "always", "never"),
        default="auto",
        help="show what is drafted, dimmed, until it is settled (default: %(default)s, on a terminal with "
        "colours, without --quiet); always: on any terminal; elsewhere only settled text is ever written",
    )
    return parser


def _add_access(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how the target is reached")
    group.add_argument(
        "--tls",
        action="store_true",
        default=os.environ.get("TANDEM_TLS", "") not in ("", "0"),
        help="encrypt, and check the target's certificate (environment: TANDEM_TLS=1)",
    )
    for option, text in (
        ("--ca", "the authority of the target's certificate, PEM, instead of the well-known ones; implies --tls"),
        ("--client-cert", "this device's own certificate, PEM, for a target that wants one"),
        ("--client-key", "the key of that certificate, PEM"),
        ("--token-file", "file with the token from the target's operator; or put the token itself into TANDEM_TOKEN"),
    ):
        name = f"TANDEM_{option.strip('-').replace('-', '_').upper()}"
        group.add_argument(
            option,
            type=typed_path,
            default=os.environ.get(name) or None,
            metavar="FILE",
            help=f"{text} (environment: {name})",
        )


def read_credentials(options: argparse.Namespace) -> Credentials:
    """How the target is reached, from the command line and the environment; a file with a token goes before the token.

    Raises:
        InputError: an option without the one that it needs, or a file that cannot be used.
    """
    token = read_token(options.token_file) if options.token_file else os.environ.get("TANDEM_TOKEN") or None
    return Credentials(options.tls, options.ca, options.client_cert, options.client_key, token)


def _verifier_parser() -> _Parser:
    parser = _Parser(
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


def _bundle_parser(command: str, text: str, example: str) -> _Parser:
    return _fill_bundle_parser(_Parser(prog=f"edge-client {command}", description=text), command, example)


def _fill_bundle_parser(parser: _Parser, command: str, example: str) -> _Parser:
    """What the commands about a bundle have in common."""
    parser.set_defaults(command=command)
    parser.epilog = f"example:\n  {example}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_bundle(parser)
    if not command.endswith("reset"):
        parser.add_argument("--json", action="store_true", help="as one line of JSON")
    return parser


def _add_bundle(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--bundle",
        type=typed_path,
        default=os.environ.get("TANDEM_BUNDLE") or POCKET,
        metavar="DIR",
        help="directory of the device's models (default: the embedded ones; environment: TANDEM_BUNDLE)",
    )
