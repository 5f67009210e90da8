"""The command line of the device: `edge-client "Once upon a time"`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from edge_client.arguments import parse_args
from shared.config import Coupling, Criterion, Mode
from shared.errors import InputError, TandemError

if TYPE_CHECKING:
    from edge_client.device import Device, Generation
    from edge_client.target import TargetClient

# Everything else is imported when it is needed: `--help` must not wait for onnxruntime and grpc.

INTERRUPTED, BROKEN_PIPE = 130, 141  # as shells report SIGINT and SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    _open_closed_streams()
    try:
        options = parse_args(sys.argv[1:] if arguments is None else arguments)
        status = _info(options) if options.command == "info" else _generate(options)
        sys.stdout.flush()
        return status
    except TandemError as error:
        _say(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the text has gone; the interpreter's last flush must not complain of it either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        print(f"edge-client: {error}; check the disk or whatever the text is written to", file=sys.stderr)
        return TandemError.exit_status


def _open_closed_streams() -> None:
    """Whoever starts a program may have closed its streams (`<&-`); then there is nothing to read, and nobody reads."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as the process lives


def _generate(options: argparse.Namespace) -> int:
    prompt = _read_prompt(options.prompt)
    from edge_client.device import Device, Settings
    from edge_client.target import TargetClient
    from shared.chat import render_chat
    from shared.config import Sampling
    from shared.tokenizer import encode_prompt

    settings = Settings(
        mode=Mode(options.mode),
        budget=options.budget,
        criterion=Criterion(options.criterion),
        coupling=Coupling(options.coupling),
        sampling=Sampling(options.temperature, options.top_k, options.top_p, options.seed),
        max_tokens=options.max_tokens,
        stops=tuple(options.stop),
        window=options.window,
        audit=not options.no_audit,
    )
    device = Device.load(options.bundle)
    ids = encode_prompt(
        device.tokenizer, render_chat([{"role": "user", "content": prompt}]) if options.chat else prompt
    )
    is_local = settings.effective_mode is Mode.LOCAL
    with nullcontext() if is_local else TargetClient.connect(options.target) as client:
        if client is not None:
            _warn(client, device, options.quiet)
        return _write(device.generate(ids, settings, client), prompt, options)


def _write(generation: Generation, prompt: str, options: argparse.Namespace) -> int:
    from edge_client.console import Console, Silent

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal that knows fewer characters shows question marks
    output = Silent() if options.json else Console(sys.stdout, options.color, None if options.quiet else sys.stderr)
    text = []
    # Closing the iterator closes the session, whatever ends the loop.
    with closing(iter(generation)) as tokens:
        try:
            output.prompt(prompt)
            for shown in tokens:
                text.append(shown.text)
                output.show(shown)
        except BaseException:
            output.stop()
            raise
    output.end(generation)
    if options.json:
        print(json.dumps(_report(generation, "".join(text))))
    return 0


def _report(generation: Generation, text: str) -> dict:
    return {
        "text": text,
        "token_ids": generation.text.continuation,
        "origins": [str(origin) for origin in generation.text.origins],
        "mode": str(generation.mode),
        "finish_reason": str(generation.text.finish_reason),
        "prompt_tokens": generation.text.prompt_length,
        **generation.summary.as_dict(),
    }


def _read_prompt(given: str | None) -> str:
    """The prompt as given, or from standard input, without the line's end there.

    Raises:
        InputError: there is none.
    """
    prompt = given
    if given is None and sys.stdin.isatty():
        raise InputError('there is no prompt; give one, as in: edge-client "Once upon a time"')
    if given in (None, "-"):
        try:
            prompt = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise InputError("standard input is not UTF-8 text; convert it first") from None
    if not prompt:
        raise InputError("the prompt is empty; give a few words to go on from")
    return prompt


def _warn(client: TargetClient, device: Device, quiet: bool) -> None:
    for warning in client.check(device.manifest):
        if not quiet:
            _say(f"warning: {warning}")


def _say(sentence: str) -> None:
    """Tell the user; a part of it may be what the target said."""
    from edge_client.console import CONTROLS

    print(f"edge-client: {sentence.translate(CONTROLS)}", file=sys.stderr)


def _info(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from shared.bundle import read_manifest

    manifest = read_manifest(options.bundle)
    if options.json:
        print(json.dumps(asdict(manifest)))
        return 0
    draft = manifest.draft
    facts = {
        "bundle": f"{manifest.name} ({options.bundle})",
        "made for": f"{manifest.target_name} ({manifest.target_fingerprint})",
        "tokenizer": f"{manifest.vocabulary} tokens ({manifest.tokenizer_fingerprint})",
        "context": f"{manifest.context} tokens",
        "draft": f"{draft.layers} layers, hidden size {draft.hidden}, {draft.dtype}, {draft.kind}, "
        f"{(options.bundle / 'draft.onnx').stat().st_size / 1e6:.1f} MB",
    }
    for name, fact in facts.items():
        print(f"{name:<10} {fact}")
    if manifest.calibration:
        print("\ncriterion  temperature  top-p  budget  threshold  divergence  ask rate  tokens")
    for cell in manifest.calibration:
        print(
            f"{cell.criterion:<9}  {cell.temperature:>11g}  {cell.top_p:>5g}  {cell.budget:>6g}  {cell.threshold:>9.4f}"
            f"  {cell.divergence:>10.4f}  {cell.ask_rate:>8.3f}  {cell.tokens:>6}"
        )
    return 0
