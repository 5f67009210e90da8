"""`edge-client "PROMPT"`: write one text, and show it as it comes."""

from __future__ import annotations

import argparse
import io
import json
import sys

from edge_client.bundles.bundle import Bundle
from edge_client.cli.arguments import read_credentials
from edge_client.cli.console import Console, Output, Silent, say
from edge_client.decoding.text import Token
from edge_client.edge import Edge
from edge_client.settings import Settings
from edge_client.stream import LossWarning, Stream
from shared.errors import InputError


def run(options: argparse.Namespace) -> int:
    """Write a text as the options say; returns the exit status.

    Raises:
        TandemError: it cannot be written.
    """
    prompt = _read_prompt(options.prompt)
    settings = Settings(
        mode=options.mode,
        budget=options.budget,
        criterion=options.criterion,
        coupling=options.coupling,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
        max_tokens=options.max_tokens,
        stop=options.stop,
        window=options.window,
        audit=not options.no_audit,
        learn=options.learn,
    )
    bundle = Bundle.load(options.bundle)
    encoded = bundle.encode_chat([{"role": "user", "content": prompt}]) if options.chat else bundle.encode(prompt)
    with (
        Edge(
            options.target,
            bundle=bundle,
            credentials=read_credentials(options) if settings.needs_target else None,
            memory=not options.no_memory,
            **vars(settings),
        ) as edge,
        edge.stream(encoded) as stream,
    ):
        return _show(stream, prompt, options)


def _show(stream: Stream[Token], prompt: str, options: argparse.Namespace) -> int:
    for out in (sys.stdout, sys.stderr):
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(errors="replace")  # a terminal that knows fewer characters shows question marks
    output: Output = Silent()
    if not options.json:
        output = Console(sys.stdout, options.color, None if options.quiet else sys.stderr)
    warned = _warn(stream, 0, options.quiet)
    try:
        output.prompt(prompt)
        for token in stream:
            output.show(token)
    except BaseException:
        output.stop()
        stream.close()
        _warn(stream, warned, options.quiet)
        raise
    completion = stream.finish()
    output.end(completion)
    _warn(stream, warned, options.quiet)
    if options.json:
        print(json.dumps(completion.as_dict()))
    return 0


def _warn(stream: Stream[Token], warned: int, quiet: bool) -> int:
    """Tell what has come since the first `warned` warnings; returns how many there are."""
    for warning in stream.warnings[warned:]:
        if isinstance(warning, LossWarning):
            say(f"warning: {warning} (--no-memory does without)")
        elif not quiet:
            say(f"warning: {warning}")
    return len(stream.warnings)


def _read_prompt(given: str | None) -> str:
    """The prompt as given, or from standard input, without the line's end there.

    Raises:
        InputError: there is none.
    """
    if given is None and sys.stdin.isatty():
        raise InputError('there is no prompt; give one, as in: edge-client "Once upon a time"')
    prompt = given
    if prompt is None or prompt == "-":
        try:
            prompt = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise InputError("standard input is not UTF-8 text; convert it first") from None
    if not prompt:
        raise InputError("the prompt is empty; give a few words to go on from")
    return prompt
