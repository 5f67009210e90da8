"""`edge-client doctor`: what is wrong here or on the way to a target, and what to do about it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Timer
from time import monotonic

from edge_client.bundles.following import last_used
from edge_client.bundles.pocket import POCKET
from edge_client.cli.arguments import COMMANDS, parse_args
from edge_client.cli.console import CONTROLS, say, with_options
from edge_client.cli.doctor_pair import Progress, table, wanted
from edge_client.cli.options import read_credentials, read_options
from edge_client.configuration.program import EDGE
from edge_client.configuration.variables import present, unread
from edge_client.doctor.device import Device
from edge_client.doctor.examination import LIMIT, Examination
from edge_client.settings import Settings, is_local_only
from shared.errors import InputError, TandemError
from shared.findings import Check, Finding, Level, fail, ok, run_checks, warn

# Seconds after which somebody who waits is told for what.
_SILENCE = 2.0


def run(options: argparse.Namespace) -> int:
    """Run the checks and print what they found; returns the exit status.

    Raises:
        InputError: settings by which no text can be written, or a pair of which there is only one part.
    """
    begin = monotonic()
    settings = Settings().override(
        budget=options.budget,
        criterion=options.criterion,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
    )
    if options.pair and not options.target:
        raise InputError("a pair is a device and a target: give the target, too", options=("target",))
    progress = Progress(sys.stderr)
    usual = last_used(options.target) if options.target else POCKET
    device = Device(options.bundle or usual, settings)
    findings: list[Finding] = []

    def examine(checks: Iterable[Check], limit: str = "") -> bool:
        """Whether nothing failed."""
        found = list(_shown(checks, options, limit, progress))
        findings.extend(found)
        return not any(finding.level is Level.FAIL for finding in found)

    with Examination(
        device,
        settings,
        options.target,
        lambda: read_credentials(options),
        follows=options.bundle is None,
        trial=wanted(options, begin, progress) if options.pair else None,
    ) as examination:
        here = examine([("configuration", lambda: _configuration(options)), *examination.of_device()])
        there = examine(examination.of_target(), f"; all checks of a target end within {LIMIT:.0f} s")
    if options.json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        counts = Counter(finding.level for finding in findings)
        figures = f"{counts[Level.OK]} ok, {counts[Level.WARN]} to look at, {counts[Level.FAIL]} failed"
        print(f"{figures}: {_summary(here, there, None if is_local_only() else options.target)}".translate(CONTROLS))
    return int(not (here and there))


def _shown(checks: Iterable[Check], options: argparse.Namespace, limit: str, progress: Progress) -> Iterator[Finding]:
    for check in checks:
        with _patience(f"still at {check[0]}{limit}", check[0]):
            for finding in run_checks([check], lambda error: _told(error, options)):
                progress.end()
                if not options.json:
                    print(str(finding).translate(CONTROLS), flush=True)
                    if "modes" in finding.values:
                        print(table(finding.values), flush=True)
                yield finding


@contextmanager
def _patience(sentence: str, check: str) -> Iterator[None]:
    """Say what takes so long; a pair tells by itself."""
    if check == "pair":
        yield
        return
    timer = Timer(_SILENCE, say, [sentence])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _told(error: TandemError, options: argparse.Namespace) -> str:
    return with_options(error, options.origins)


def _configuration(options: argparse.Namespace) -> Iterator[Finding]:
    yield from _unusable()
    for trouble in unread(COMMANDS.variables()):
        yield warn("configuration", trouble)
    path = EDGE.config_path()
    standing = sorted(str(origin) for origin in options.origins.values() if origin.is_standing)
    values = {"file": path and str(path), "environment": present(), "used": standing}
    if path is None or not path.exists():
        yield ok("configuration", f"no file, and {', '.join(standing) or 'nothing in the environment'}", **values)
    elif path.is_file() and path.stat().st_mode & 0o022:
        sentence = f"others can write to {path}, and so send your texts elsewhere; chmod 600 it"
        yield warn("configuration", sentence, **values)
    else:
        yield ok("configuration", f"{path}; in use here: {', '.join(standing) or 'nothing of it'}", **values)


def _unusable() -> Iterator[Finding]:
    """Values that stand somewhere and keep the commands that write from writing."""
    told: set[str] = set()
    for command in ("generate", "chat", "serve"):
        given = argparse.Namespace(origins={})
        try:
            given = parse_args([command])
            Settings().override(**read_options(given))
        except InputError as error:
            why = with_options(error, given.origins)
            if why not in told:
                yield fail("configuration", f"edge-client {command} cannot begin: {why}")
            told.add(why)


def _summary(here: bool, there: bool, target: str | None) -> str:
    if not here:
        return "texts cannot be written as they should"
    if target is None:
        return "texts can be written by this device alone" + "; --target examines one" * (not is_local_only())
    return (
        f"texts can be written with {target}"
        if there
        else f"texts cannot be written with {target}, but with --mode local"
    )
