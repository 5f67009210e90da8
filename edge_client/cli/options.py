"""Options that several commands of the device have: who writes, how tokens are drawn, and where things are."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from edge_client.bundles.pocket import POCKET
from edge_client.cli.numbers import number, share, whole
from edge_client.settings import (
    EXACT_WINDOW,
    RESIDUAL_WINDOW,
    SPRINT_WINDOW,
    OnOutage,
    Options,
    Prefer,
    Settings,
    is_local_only,
)
from edge_client.target.credentials import Credentials, read_token
from edge_client.target.retry import Retry
from shared.config import Coupling, Criterion, Mode
from shared.configuration.origin import Source
from shared.paths import typed_path

TARGET = "127.0.0.1:50051"


def add_writing(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Who writes, and how far the text may stray; returns the group."""
    group = parser.add_argument_group("who writes")
    group.add_argument(
        "--mode",
        choices=[mode.value for mode in Mode],
        metavar="MODE",
        default=(Mode.LOCAL if is_local_only() else Settings.mode).value,
        help="sprint: the device, asking where it doubts (default); exact: the target's own text, from guesses of the "
        "device; local: the device alone (the only one where TANDEM_LOCAL_ONLY=1 is in the environment); cloud: the "
        "target alone; auto: sprint, exact or cloud, by what is measured",
    )
    group.add_argument(
        "--prefer",
        choices=[prefer.value for prefer in Prefer],
        metavar="WHAT",
        default=Settings.prefer.value,
        help="what --mode auto makes least of: speed, the time until a token is shown (default); cost, the target's "
        "work; energy, the work of both sides",
    )
    add_budget(group)
    group.add_argument(
        "--domain",
        metavar="NAME",
        default=Settings.domain,
        help="which of the bundle's verifiers doubts, where it has several (`edge-client info` names them): general, "
        "that of a kind of text, or auto, the one that the audits bear out (default: %(default)s)",
    )
    group.add_argument(
        "--window",
        type=whole,
        metavar="N",
        help="accepted tokens in a row after which sprint has them audited, or tokens that exact guesses ahead "
        f"(default: {SPRINT_WINDOW}; in exact {EXACT_WINDOW}, with the residual coupling {RESIDUAL_WINDOW})",
    )
    group.add_argument(
        "--no-memory",
        action="store_true",
        help="sprint: start from the bundle's own calibration and keep nothing, so that the same seed gives the same "
        "text again; without it the audits of every run teach the next one. auto: nor what it measures of the target. "
        "What is spent is counted all the same",
    )
    group.add_argument(
        "--learn",
        action="store_true",
        help="sprint: let the audits teach the verifier too; used only while they say that it got better. Worth it for "
        "a bundle whose verifier was not trained; a trained one gains little",
    )
    group.add_argument("--no-audit", action="store_true", help="do not have the tokens after the last call audited")
    return group


def add_drawing(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """How tokens are drawn; returns the group."""
    group = parser.add_argument_group("how tokens are drawn")
    add_sampling(group)
    group.add_argument(
        "--coupling",
        choices=[coupling.value for coupling in Coupling],
        metavar="KIND",
        default=Settings.coupling.value,
        help="gumbel: both models share their noise (default); residual: the SPRINTER paper's accept and redraw, with "
        "which --mode exact has the target's distribution, but not the very text of --mode cloud",
    )
    return group


def add_budget(group: argparse._ArgumentGroup) -> None:
    """How far a text may stray from the target's own."""
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
        "--strict-structure",
        action="store_true",
        help="under a schema or grammar, count by strict what that all but dictates (keys, numbers, listed words), and "
        "by --criterion typical only the prose within strings",
    )


def add_sampling(group: argparse._ArgumentGroup) -> None:
    """How the next token is drawn from what may follow."""
    for option, kind, letter, text in (
        ("--temperature", number, "T", "the lower, the likelier the tokens; 0 takes the likeliest"),
        ("--top-p", share, "P", "keep only the likeliest tokens that make up this probability; 1 keeps all"),
        ("--top-k", whole, "K", "keep only the K likeliest tokens; 0 keeps all"),
    ):
        default = getattr(Settings, option.strip("-").replace("-", "_"))
        group.add_argument(option, type=kind, default=default, metavar=letter, help=f"{text} (default: %(default)s)")


def add_showing(group: argparse._ArgumentGroup) -> None:
    """How texts are shown."""
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


def add_target(parser: argparse.ArgumentParser, writes: bool = True) -> None:
    """Where target and bundle are, and how the target is reached.

    Args:
        writes: the command writes texts, with a bundle.
    """
    group = parser.add_argument_group("where things are")
    group.add_argument(
        "--target",
        default=TARGET,
        metavar="HOST:PORT",
        help=f"where `cloud-target serve` listens (default: {TARGET})",
    )
    group.add_argument(
        "--timeout",
        type=number,
        metavar="SECONDS",
        help="give up when the target has not answered for so long (default: 3 where it was never reached, "
        f"{Retry.total:.0f} in the middle of a text)",
    )
    if writes:
        group.add_argument(
            "--adapter",
            default=Settings.adapter,
            metavar="NAME",
            help="which of the target's LoRA adapters it is to write and judge with; `edge-client doctor` lists them "
            "(default: none)",
        )
        group.add_argument(
            "--on-outage",
            choices=[str(choice) for choice in OnOutage],
            default=str(Settings.on_outage),
            help="where the link breaks, and is not mended within a second: local goes on from the draft alone until "
            "the target answers again, wait waits as long as --timeout says, fail ends with an error (default: "
            "%(default)s). Where a cap is reached, local goes on alone, too, and the others end with an error",
        )
        add_bundle(
            group,
            None,
            "default: the one that the target offers, fetched once and kept; if it offers none, one that is kept and "
            "was made for it, or the embedded ones",
        )
    add_access(parser)


def add_access(parser: argparse.ArgumentParser) -> None:
    """How the target is reached."""
    group = parser.add_argument_group("how the target is reached")
    group.add_argument(
        "--tls",
        action="store_true",
        help="encrypt, and check the target's certificate",
    )
    for option, text in (
        ("--ca", "the authority of the target's certificate, PEM, instead of the well-known ones; implies --tls"),
        ("--client-cert", "this device's own certificate, PEM, for a target that wants one"),
        ("--client-key", "the key of that certificate, PEM"),
        ("--token-file", "file with the token from the target's operator; or put the token itself into TANDEM_TOKEN"),
    ):
        group.add_argument(option, type=typed_path, metavar="FILE", help=text)


def read_options(options: argparse.Namespace) -> Options:
    """How texts are written, as far as the command line of every command says it."""
    return {
        "mode": options.mode,
        "prefer": options.prefer,
        "budget": options.budget,
        "criterion": options.criterion,
        "strict_structure": options.strict_structure,
        "coupling": options.coupling,
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "window": options.window,
        "audit": not options.no_audit,
        "learn": options.learn,
        "timeout": options.timeout,
        "on_outage": options.on_outage,
        "domain": options.domain,
        "adapter": options.adapter,
    }


def read_credentials(options: argparse.Namespace) -> Credentials:
    """How the target is reached, from the command line and the environment; a file with a token goes before the token.

    Raises:
        InputError: an option without the one that it needs, or a file that cannot be used.
    """
    token = read_secret(options, "token_file", "TANDEM_TOKEN")
    return Credentials(options.tls, options.ca, options.client_cert, options.client_key, token)


def read_secret(options: argparse.Namespace, name: str, variable: str) -> str | None:
    """What stands in the file that an option names, or in the environment; the former, unless the option itself comes
    from the configuration file, which the environment goes before.

    Raises:
        InputError: the file cannot be read.
    """
    path, given = getattr(options, name), os.environ.get(variable) or None
    if path is None or (given and options.origins[name].source is Source.FILE):
        return given
    return read_token(path, name)


def add_bundle(
    parser: argparse._ActionsContainer, usual: Path | None = POCKET, text: str = "default: the embedded ones"
) -> None:
    """Where the bundle is.

    Args:
        usual: what it is if nobody says; None leaves that open.
        text: says the same.
    """
    parser.add_argument(
        "--bundle",
        type=typed_path,
        default=usual,
        metavar="DIR",
        help=f"directory of the device's models ({text})",
    )
