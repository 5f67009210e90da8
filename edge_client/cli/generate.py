"""`edge-client "PROMPT"`: write one text, and show it as it comes."""

from __future__ import annotations

import argparse
import io
import json
import sys
from contextlib import suppress
from functools import partial

from edge_client.bundles.bundle import Bundle
from edge_client.cli.console import Console, Output, Silent, say
from edge_client.cli.live import Live, can_be_live
from edge_client.cli.options import read_credentials, read_options
from edge_client.cli.prompt import read_prompt
from edge_client.decoding.text import Event
from edge_client.edge import Edge
from edge_client.settings import Options, Settings
from edge_client.stream import LinkWarning, LossWarning, Stream
from shared.errors import InputError, TandemError
from shared.stopping import FinishReason


def run(options: argparse.Namespace) -> int:
    """Write a text as the options say; returns the exit status.

    Raises:
        TandemError: it cannot be written.
    """
    prompt = read_prompt(options.prompt, options.verbatim)
    given: Options = {
        **read_options(options),
        "seed": options.seed,
        "max_tokens": options.max_tokens,
        "stop": options.stop,
    }
    settings = Settings().override(**given)
    output = _output(options)
    bundle = Bundle.load(options.bundle)
    encoded = bundle.encode_chat([{"role": "user", "content": prompt}]) if options.chat else bundle.encode(prompt)
    with (
        Edge(
            options.target,
            bundle=bundle,
            credentials=read_credentials(options) if settings.needs_target else None,
            memory=not options.no_memory,
            notify=None if options.quiet else partial(_note, output),
            **vars(settings),
        ) as edge,
        edge.stream(encoded, provisional=output.is_live) as stream,
    ):
        return _show(stream, prompt, output, options)


def _output(options: argparse.Namespace) -> Output:
    if options.json:
        return Silent()
    when = "never" if options.quiet and options.provisional == "auto" else options.provisional
    kind = Live if can_be_live(sys.stdout, when, options.color) else Console
    return kind(sys.stdout, options.color, None if options.quiet else sys.stderr)


def _show(stream: Stream[Event], prompt: str, output: Output, options: argparse.Namespace) -> int:
    for out in (sys.stdout, sys.stderr):
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(errors="replace")  # a terminal that knows fewer characters shows question marks
    warned = _warn(stream, 0, options.quiet)
    try:
        output.prompt(prompt)
        for event in stream:
            output.show(event)
    except BaseException as end:
        if isinstance(end, KeyboardInterrupt):
            stream.text.cancel(FinishReason.INTERRUPTED)
        stream.close()
        output.stop()
        _warn(stream, warned, options.quiet)
        if options.json and isinstance(end, KeyboardInterrupt | TandemError):
            _print_what_there_is(stream, end)
        raise
    completion = stream.finish()
    output.end(completion)
    _warn(stream, warned, options.quiet)
    if options.explain and completion.explanation:
        say(completion.explanation)
    if options.json:
        print(json.dumps(completion.as_dict()))
    return 0


def _print_what_there_is(stream: Stream[Event], end: BaseException) -> None:
    """The line of JSON about a text that could not be finished; nothing, where none was begun."""
    with suppress(InputError):
        report = stream.completion.as_dict()
        print(json.dumps(report | ({"error": str(end)} if isinstance(end, TandemError) else {})), flush=True)


def _note(output: Output, sentence: str) -> None:
    """Tell at once, in the middle of a text too."""
    with output.aside():
        say(sentence)


def _warn(stream: Stream[Event], warned: int, quiet: bool) -> int:
    """Tell what has come since the first `warned` warnings; returns how many there are."""
    for warning in stream.warnings[warned:]:
        if isinstance(warning, LinkWarning):
            continue  # told at once
        if isinstance(warning, LossWarning):
            say(f"warning: {warning} (--no-memory does without)")
        elif not quiet:
            say(f"warning: {warning}")
    return len(stream.warnings)
