"""`edge-client "PROMPT"`: write one text, and show it as it comes."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from contextlib import suppress

from edge_client.cli.console import Output, Silent, never_fails, say
from edge_client.cli.fetching import Fetching
from edge_client.cli.grammar import read_grammar
from edge_client.cli.live import console
from edge_client.cli.notes import Notes
from edge_client.cli.options import read_credentials, read_options
from edge_client.cli.prompt import read_prompt
from edge_client.cli.spending import read_spending
from edge_client.decoding.text import Event
from edge_client.edge import Edge, Prompt
from edge_client.settings import Options, Settings
from edge_client.stream import Stream
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
        "seed": secrets.randbits(32) if options.seed is None else options.seed,
        "max_tokens": options.max_tokens,
        "stop": options.stop,
        **read_grammar(options),
    }
    settings = Settings().override(**given)
    output = Silent() if options.json else console(options.provisional, options.color, options.quiet)
    notes = Notes(output, options.quiet)
    with (
        Edge(
            options.target,
            bundle=options.bundle,
            credentials=read_credentials(options) if settings.needs_target else None,
            memory=not options.no_memory,
            **read_spending(options),
            notify=None if options.quiet else notes.tell,
            progress=None if options.quiet else Fetching(sys.stderr),
            **vars(settings),
        ) as edge,
        edge.stream(_turn(prompt) if options.chat else prompt, provisional=output.is_live) as stream,
    ):
        return _show(stream, prompt, output, notes, options)


def _turn(prompt: str) -> Prompt:
    return lambda bundle: bundle.encode_chat([{"role": "user", "content": prompt}])


def _show(stream: Stream[Event], prompt: str, output: Output, notes: Notes, options: argparse.Namespace) -> int:
    never_fails(sys.stdout, sys.stderr)
    notes.warn(stream)
    try:
        output.prompt(prompt)
        for event in stream:
            output.show(event)
    except BaseException as end:
        if isinstance(end, KeyboardInterrupt):
            stream.text.cancel(FinishReason.INTERRUPTED)
        stream.close()
        output.stop()
        notes.warn(stream)
        if options.json and isinstance(end, KeyboardInterrupt | TandemError):
            _print_what_there_is(stream, end)
        raise
    completion = stream.finish()
    output.end(completion)
    notes.warn(stream)
    notes.end(stream, completion)
    if options.explain and completion.explanation:
        say(completion.explanation)
    if options.json:
        print(json.dumps(completion.as_dict()))
    return 0


def _print_what_there_is(stream: Stream[Event], end: BaseException) -> None:
    """The line of JSON about a text that could not be finished; nothing, where none was begun."""
    with suppress(InputError):
        report = stream.completion.as_dict()
        if isinstance(end, TandemError):
            report |= {"error": str(end)} | ({"request_id": end.request_id} if end.request_id else {})
        print(json.dumps(report), flush=True)
