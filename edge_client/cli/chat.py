"""`edge-client chat`: a conversation of several turns, in the terminal or from a pipe."""

from __future__ import annotations

import argparse
import sys

from edge_client.cli.answering import Answering
from edge_client.cli.console import never_fails, say
from edge_client.cli.conversation import Conversation
from edge_client.cli.fetching import Fetching
from edge_client.cli.history import NAME, History
from edge_client.cli.live import console
from edge_client.cli.notes import Notes
from edge_client.cli.options import read_credentials, read_options
from edge_client.cli.spending import read_spending
from edge_client.cli.talk import Talk, check_system
from edge_client.cli.turns import Piped, Turns, Typed, ask_plainly
from edge_client.edge import Edge
from edge_client.settings import Options, Settings
from edge_client.state import state_directory
from shared.errors import InputError


def run(options: argparse.Namespace) -> int:
    """Chat until the user wants no more; returns the exit status.

    Raises:
        TandemError: there can be no chat.
    """
    given: Options = {**read_options(options), "max_tokens": options.max_tokens}
    settings = Settings().override(**given)
    if options.seed is not None:
        settings.override(seed=options.seed)  # which checks it
    never_fails(sys.stdin, sys.stdout, sys.stderr)
    notes = Notes(console(options.provisional, options.color, options.quiet), options.quiet)
    with Edge(
        options.target,
        bundle=options.bundle,
        credentials=read_credentials(options),  # in mode local too, which a command may end
        memory=not options.no_memory,
        **read_spending(options),
        notify=None if options.quiet else notes.tell,
        progress=None if options.quiet else Fetching(sys.stderr),
        conversations=1,
        **vars(settings),
    ) as edge:
        check_system(edge.bundle, options.system)
        answering = Answering(edge, notes, lambda: console(options.provisional, options.color, options.quiet))
        turns = _turns(options)
        if turns.is_typed and not options.quiet:
            say("what you type is answered; /help lists the commands, and Ctrl-D ends the chat")
        talk = Talk(edge, answering, turns, Conversation(options.system), settings, options.seed)
        talk.lead()
    # Whoever types has seen what went wrong; a script learns it only so.
    return 0 if turns.is_typed or talk.error is None else talk.error.exit_status


def _turns(options: argparse.Namespace) -> Turns:
    if not sys.stdin.isatty():
        return Piped(sys.stdin.buffer)
    if not sys.stdout.isatty():
        return Typed(ask_plainly)
    try:
        import readline
    except ImportError:
        return Typed(input)
    return Typed(input, readline, None if options.no_memory else _history())


def _history() -> History | None:
    try:
        return History(state_directory() / NAME)
    except InputError as error:
        say(f"warning: what is typed is not remembered: {error}")
        return None
