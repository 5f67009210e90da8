"""What is told beside a text, on standard error: in the middle of it, or where it begins and ends."""

from __future__ import annotations

from edge_client.cli.console import Output, say
from edge_client.decoding.text import Event
from edge_client.stream import Completion, CostWarning, LinkWarning, LossWarning, Stream


class Notes:
    """Tells nothing twice, however many texts are written.

    Args:
        output: where the text is written that comes next.
        quiet: only tell of what is lost, of what may not be spent, and of tokens that the target should have judged.
    """

    def __init__(self, output: Output, quiet: bool) -> None:
        self.output = output
        self._quiet = quiet
        self._told: set[str] = set()

    def tell(self, sentence: str) -> None:
        """Tell at once, in the middle of a text too."""
        self._told.add(sentence)
        with self.output.aside():
            say(sentence)

    def warn(self, stream: Stream[Event]) -> None:
        """Tell of the warnings that have come."""
        for warning in stream.warnings:
            if warning in self._told or isinstance(warning, LinkWarning):  # which is told at once
                continue
            self._told.add(warning)
            if isinstance(warning, LossWarning):
                say(f"warning: {warning} (--no-memory does without)")
            elif isinstance(warning, CostWarning) or not self._quiet:
                say(f"warning: {warning}")

    def end(self, stream: Stream[Event], completion: Completion) -> None:
        """Tell what nobody may miss of a text that has ended, however quiet one is to be."""
        if self._quiet and any(isinstance(warning, LinkWarning) for warning in stream.warnings):
            alone, tokens = completion.usage.alone, completion.usage.tokens
            if alone:
                say(f"warning: {alone} of {tokens} tokens were written without the target, which was away")
