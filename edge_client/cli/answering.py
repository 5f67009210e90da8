"""One answer of a chat, shown as it comes: Ctrl-C, or a target that is away, ends it and not the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from edge_client.bundles.bundle import Bundle
from edge_client.cli.console import Output, say
from edge_client.cli.notes import Notes
from edge_client.cli.process import exit_status_of, stoppable
from edge_client.decoding.text import Event
from edge_client.edge import Edge
from edge_client.settings import Settings
from edge_client.stream import Completion, Stream
from shared.chat.template import Message
from shared.errors import INTERRUPTED, ContextLengthError, InputError, TandemError
from shared.stopping import FinishReason

_FULL = "shorten the question with /edit, take turns back with /undo, or begin anew with /clear"


@dataclass(frozen=True)
class Written:
    """What has become of an answer.

    Attributes:
        completion: None where not a token was written.
        stopped: by Ctrl-C.
        error: what ended it, or kept it from beginning.
    """

    completion: Completion | None = None
    stopped: bool = False
    error: TandemError | None = None


class Answering:
    """Writes answers, one after the other.

    Args:
        edge: writes them.
        notes: tells what is beside them.
        output: shows the next one.
    """

    def __init__(self, edge: Edge, notes: Notes, output: Callable[[], Output]) -> None:
        self._edge = edge
        self._notes = notes
        self._output = output

    def write(self, turns: Sequence[Message], settings: Settings) -> Written:
        """Write the answer to these turns, and show it.

        Raises:
            InputError: the bundle's template does not take the turns.
            KeyboardInterrupt: another signal than Ctrl-C ends the program.
        """
        output = self._notes.output = self._output()
        ids: list[int] = []

        def prompt(bundle: Bundle) -> list[int]:
            ids[:] = bundle.encode_chat(turns)
            return ids

        with stoppable():
            try:
                with self._edge.stream(prompt, provisional=output.is_live, **vars(settings)) as stream:
                    return self._show(stream, output, settings)
            except ContextLengthError:
                sentence = f"the conversation has {len(ids)} tokens, too many for the context; {_FULL}"
                return Written(error=ContextLengthError(sentence))
            except TandemError as error:
                if isinstance(error, InputError) and not ids:
                    raise
                return Written(error=error)
            except KeyboardInterrupt as end:
                _only_ctrl_c(end)
                output.stop()
                say("stopped before the first token; /retry asks again")
                return Written(stopped=True)

    def _show(self, stream: Stream[Event], output: Output, settings: Settings) -> Written:
        self._notes.warn(stream)
        error: TandemError | None = None
        stopped = False
        try:
            for event in stream:
                output.show(event)
        except TandemError as caught:
            error = caught
        except KeyboardInterrupt as end:
            stream.text.cancel(FinishReason.INTERRUPTED)
            stream.close()
            output.stop()
            _only_ctrl_c(end)
            stopped = True
        completion = None
        with suppress(InputError):  # it never began
            completion = stream.completion
        output.stop()
        if completion is not None and completion.token_ids:
            output.end(completion)
        self._notes.warn(stream)
        if completion is not None:
            self._notes.end(stream, completion)
        if stopped and not (completion and completion.token_ids):
            say("stopped before the first token; /retry asks again")
        elif (
            error is None
            and settings.max_tokens is None
            and completion
            and completion.finish_reason is FinishReason.LENGTH
        ):
            say(f"the answer ends where the context is full; {_FULL}")
        return Written(completion if completion and completion.token_ids else None, stopped, error)


def _only_ctrl_c(end: KeyboardInterrupt) -> None:
    if exit_status_of(end) != INTERRUPTED:
        raise end
