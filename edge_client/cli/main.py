"""The command line of the device: `edge-client "Once upon a time"`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from types import FrameType
from typing import TYPE_CHECKING

from edge_client.cli.arguments import parse_args, read_access
from shared.config import Coupling, Criterion, Mode
from shared.errors import DamagedMemory, InputError, TandemError

if TYPE_CHECKING:
    from edge_client.decoding.generation import Device, Generation, Settings
    from edge_client.promise.memory import Memory
    from edge_client.target.client import TargetClient

# Everything else is imported when it is needed: `--help` must not wait for onnxruntime and grpc.

BROKEN_PIPE = 141  # as shells report SIGPIPE; other signals are reported in the same way


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C that ends the program: in the same way, so that nothing is lost."""

    def __init__(self, number: int) -> None:
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    _open_closed_streams()
    try:
        with _signals_end_it():
            options = parse_args(sys.argv[1:] if arguments is None else arguments)
            status = _COMMANDS[options.command](options)
            sys.stdout.flush()
            return status
    except TandemError as error:
        _say(str(error))
        return error.exit_status
    except KeyboardInterrupt as end:
        print(file=sys.stderr)
        return 128 + (end.number if isinstance(end, Ended) else signal.SIGINT)
    except BrokenPipeError:
        # Whoever read the text has gone; the interpreter's last flush must not complain of it either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        print(f"edge-client: {error}; check the disk or whatever the text is written to", file=sys.stderr)
        return TandemError.exit_status


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the program as Ctrl-C does, unless someone cares for them already."""

    def end(number: int, _: FrameType | None) -> None:
        raise Ended(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    mine = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


def _open_closed_streams() -> None:
    """Whoever starts a program may have closed its streams (`<&-`); then there is nothing to read, and nobody reads."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as the process lives


def _generate(options: argparse.Namespace) -> int:
    prompt = _read_prompt(options.prompt)
    from edge_client.decoding.generation import Device, Settings
    from edge_client.target.client import TargetClient
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
    with nullcontext() if is_local else TargetClient.connect(options.target, access=read_access(options)) as client:
        if settings.effective_mode is not Mode.SPRINT or options.no_memory:
            return _write(device.generate(ids, settings, client), prompt, options)
        return _write_and_remember(device, ids, settings, client, prompt, options)


def _write_and_remember(
    device: Device, ids: list[int], settings: Settings, client: TargetClient, prompt: str, options: argparse.Namespace
) -> int:
    from edge_client.promise.memory import Promise

    memory = _memory(device)
    if memory is None:
        return _write(device.generate(ids, settings, client), prompt, options)
    promise = Promise.of(settings, client.description.fingerprint, options.learn)
    budget = memory.budget(promise, device.first_threshold(settings, client))
    learner = memory.learner(promise) if options.learn else None
    generation = device.generate(ids, settings, client, budget, learner)
    try:
        return _write(generation, prompt, options)
    finally:
        # Also of a text that was given up: people give up on those that go wrong, so these count above all.
        if generation.summary is not None:
            try:
                memory.add(promise, generation.summary, budget, learner)
            except (OSError, InputError) as error:  # the text is on the screen: nothing else is lost
                _say(f"warning: what the audits taught could not be kept ({error}); --no-memory does without")


def _memory(device: Device) -> Memory | None:
    """What is remembered; a file that cannot be used must not keep a device from writing."""
    from edge_client.promise.memory import Memory

    try:
        return Memory.open(device.manifest)
    except InputError as error:
        # A file that somebody else may read is left as it is.
        if isinstance(error, DamagedMemory):
            memory = Memory.at(device.manifest)
            with suppress(OSError):
                memory.set_aside()
                _say(f"warning: {error}; it was set aside as *.damaged, and this run begins anew")
                return memory
        _say(f"warning: {error}; this run remembers nothing")
        return None


def _write(generation: Generation, prompt: str, options: argparse.Namespace) -> int:
    from edge_client.cli.console import Console, Silent

    warned = 0

    def warn() -> None:
        nonlocal warned
        for warning in generation.warnings[warned:]:
            if not options.quiet:
                _say(f"warning: {warning}")
        warned = len(generation.warnings)

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal that knows fewer characters shows question marks
    output = Silent() if options.json else Console(sys.stdout, options.color, None if options.quiet else sys.stderr)
    text = []
    warn()
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
    warn()
    if options.json:
        print(json.dumps(_as_json(generation, "".join(text))))
    return 0


def _as_json(generation: Generation, text: str) -> dict:
    return {
        "text": text,
        "token_ids": generation.text.continuation,
        "origins": [str(origin) for origin in generation.text.origins],
        "mode": str(generation.mode),
        "finish_reason": str(generation.text.finish_reason),
        "prompt_tokens": generation.text.prompt_length,
        "warnings": generation.warnings,
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


def _say(sentence: str) -> None:
    """Tell the user; a part of it may be what the target said."""
    from edge_client.cli.console import CONTROLS

    print(f"edge-client: {sentence.translate(CONTROLS)}", file=sys.stderr)


def _info(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from edge_client.cli.console import CONTROLS
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
        print(f"{name:<10} {fact}".translate(CONTROLS))
    return 0


def _report_verifier(options: argparse.Namespace) -> int:
    from edge_client.cli.console import CONTROLS
    from edge_client.cli.verifier_report import as_dict, as_text
    from edge_client.promise.memory import Memory
    from shared.bundle import read_manifest

    manifest = read_manifest(options.bundle)
    memory = Memory.open(manifest)
    print(json.dumps(as_dict(manifest, memory)) if options.json else as_text(manifest, memory).translate(CONTROLS))
    return 0


def _reset_verifier(options: argparse.Namespace) -> int:
    from edge_client.promise.memory import Memory
    from shared.bundle import read_manifest

    memory = Memory.at(read_manifest(options.bundle))
    print(f"removed {memory.path}" if memory.forget() else f"there was nothing to remove at {memory.path}")
    return 0


_COMMANDS = {
    "generate": _generate,
    "info": _info,
    "verifier report": _report_verifier,
    "verifier reset": _reset_verifier,
}
