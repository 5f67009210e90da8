"""The text on a terminal, each token in the colour of where it came from, and one line about the run."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from edge_client.decoding.text import Event, Origin, Token
from edge_client.usage.notes import verifier_note
from shared.config import Criterion, Mode
from shared.configuration.told import told
from shared.errors import TandemError
from shared.stopping import FinishReason

if TYPE_CHECKING:
    from edge_client.stream import Completion
    from edge_client.usage.cost import Cost
    from edge_client.usage.summary import Summary
    from shared.configuration.origin import Origin as ValueOrigin

RESET = "\033[0m"
DIM = "\033[2m"
# Weight as well as colour, for those who see the colours alike.
_STYLES = {
    Origin.ACCEPTED: "\033[32m",
    Origin.CONFIRMED: "\033[36m",
    Origin.TARGET: "\033[1;36m",
    Origin.ALONE: "\033[33m",
}
_MEANINGS = {
    Origin.ACCEPTED: "accepted on the device",
    Origin.CONFIRMED: "confirmed by the target",
    Origin.TARGET: "written by the target",
    Origin.ALONE: "written without the target",
}
_ENDS = {
    FinishReason.END: "finished by the model",
    FinishReason.STOP: "stopped at a stop string",
    FinishReason.LENGTH: "cut at the length limit",
    FinishReason.CANCELLED: "cancelled",
    FinishReason.INTERRUPTED: "interrupted",
    FinishReason.ERROR: "ended by an error",
}
# What a model writes, or a target says of itself, is text, not commands to the terminal.
CONTROLS = {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}


class Output(Protocol):
    """Where a run is shown."""

    is_live: bool  # whether it shows provisional tokens, too

    def prompt(self, prompt: str) -> None:
        """Before the text, on terminals only."""

    def show(self, event: Event) -> None:
        """The next token, or what becomes of provisional ones."""

    def aside(self) -> AbstractContextManager[None]:
        """While something else is told in the middle of the text."""

    def stop(self) -> None:
        """The text ends here, finished or not; twice is once."""

    def end(self, completion: Completion) -> None:
        """The text is finished: stop, and sum up."""


class Silent:
    """An output that shows nothing."""

    is_live = False

    def prompt(self, prompt: str) -> None:
        pass

    def show(self, event: Event) -> None:
        pass

    @contextmanager
    def aside(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        pass

    def end(self, completion: Completion) -> None:
        pass


def never_fails(*streams: TextIO) -> None:
    """Let characters that a terminal does not know be question marks there."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def is_colored(stream: TextIO, color: str) -> bool:
    """Whether there are colours on `stream`, see `Console`."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return color == "always" or (color == "auto" and stream.isatty() and not plain)


class Console:
    """Writes the text to `stream` as it comes, and the line about the run to `notes`.

    Args:
        stream: for the text.
        color: "always", "never", or "auto": if `stream` is a terminal and NO_COLOR is not set.
        notes: for the line about the run; None leaves it out.
    """

    is_live = False

    def __init__(self, stream: TextIO, color: str = "auto", notes: TextIO | None = sys.stderr) -> None:
        self._stream = stream
        self._notes = notes
        self._is_terminal = stream.isatty()
        self._colored = is_colored(stream, color)
        self._style = ""
        self._at_start = True

    def legend(self) -> None:
        """Say what the colours mean, if there are any."""
        if self._colored:
            print(", ".join(self._styled(origin, meaning) for origin, meaning in _MEANINGS.items()), file=self._stream)

    def prompt(self, prompt: str) -> None:
        if self._is_terminal:
            text = prompt.translate(CONTROLS)
            self._stream.write(f"{DIM}{text}{RESET}" if self._colored else text)
            self._stream.flush()
            self._at_start = False

    def show(self, event: Event) -> None:
        if not isinstance(event, Token) or not event.text:
            return
        text = event.text
        self._at_start = text[-1] == "\n"
        if self._is_terminal:
            text = text.translate(CONTROLS)
        if self._colored and (style := _STYLES[event.origin]) != self._style:
            text = RESET + style + text
            self._style = style
        self._stream.write(text)
        self._stream.flush()

    @contextmanager
    def aside(self) -> Iterator[None]:
        if self._is_terminal:  # elsewhere the text stays as it is
            self._break_off()
        yield

    def stop(self) -> None:
        self._break_off()

    def _break_off(self) -> None:
        """Leave the line and the colours of the text."""
        if self._style:
            self._stream.write(RESET)
            self._style = ""
        if not self._at_start:
            self._stream.write("\n")
            self._at_start = True
        self._stream.flush()

    def end(self, completion: Completion) -> None:
        self.stop()
        if self._notes is not None:
            usage, cost, verifiers = completion.usage, completion.cost, completion.verifiers
            line = describe(usage, completion.mode, completion.finish_reason, cost, verifiers)
            line += f"; seed {completion.seed}"
            print(
                f"{DIM}{line}{RESET}" if self._colored and self._notes.isatty() else line,
                file=self._notes,
                flush=True,
            )

    def _styled(self, origin: Origin, text: str) -> str:
        return f"{_STYLES[origin]}{text}{RESET}"


def describe(
    summary: Summary,
    mode: Mode,
    reason: FinishReason,
    cost: Cost | None = None,
    verifiers: Mapping[str, int] | None = None,
) -> str:
    """One line about a text, with money where there are prices, and who doubted where there are several verifiers."""
    parts = [f"{mode}: {summary.tokens} tokens", _ENDS[reason], f"{summary.tokens_per_second:.0f} tokens/s"]
    if verifiers:
        parts.append(verifier_note(verifiers))
    if mode is Mode.LOCAL:
        parts.append(f"the verifier doubted {summary.doubted} of them")
        parts.append("the target was not asked, so nothing is known of how far this is from its own text")
        return "; ".join(parts)
    if summary.alone:
        parts.append(f"{summary.alone} of them written without the target")
    parts.append(f"{summary.calls / max(summary.tokens, 1):.2f} calls/token")
    rates = {criterion: summary.audit.rate(criterion) for criterion in Criterion}
    known = [f"{100 * rate:.1f} % {criterion}" for criterion, rate in rates.items() if rate is not None]
    if known:
        parts.append(f"off-target {', '.join(known)} (audited: {summary.audit.known} tokens)")
        parts.append(f"unlikely words {100 * (summary.audit.unlikely_share or 0.0):.1f} %")
    if summary.audited < summary.accepted:
        parts.append(f"{summary.accepted - summary.audited} accepted tokens not audited")
    parts.append(f"{summary.bytes_per_token:.1f} bytes/token")
    if summary.reconnects:
        parts.append(f"{summary.reconnects} reconnect{'s' * (summary.reconnects != 1)}")
    if cost:
        parts.append(str(cost))
    return "; ".join(parts)


def say(sentence: str) -> None:
    """Tell the user; a part of it may be what the target said."""
    print(f"edge-client: {sentence.translate(CONTROLS)}", file=sys.stderr)


def with_options(error: TandemError, origins: Mapping[str, ValueOrigin] | None = None) -> str:
    """An error's sentence, which options of the command line would help, and what to tell the target's operator.

    Args:
        origins: where values come from: of what stands in a file or in the environment, that place is told.
    """
    known_as = f"; the target's log knows it as {error.request_id}" if error.request_id else ""
    return told(error, origins or {}) + known_as
