"""Where the time of a stream goes, for whoever traces it: what the service says of it while it happens.

By default nobody listens, and nothing is done; `cloud_target/telemetry/spans.py` makes spans of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from cloud_target.engine.interface import Scores

Metadata = Iterable[tuple[str, str | bytes]]
_NOTHING = nullcontext()


class Traces:
    """Traces nothing. What is begun in a block belongs to the block around it, of the same call."""

    def stream(self, metadata: Metadata, tenant: str) -> AbstractContextManager[None]:
        """A stream, for as long as the block lasts.

        Args:
            metadata: it came with; of a caller who was let in.
        """
        return _NOTHING

    def question(self, arrived: float) -> AbstractContextManager[None]:
        """One of its requests, from `arrived` on, `perf_counter` seconds."""
        return _NOTHING

    def room(self) -> AbstractContextManager[None]:
        """The wait for its session, and for room in the cache."""
        return _NOTHING

    def passed(self, scores: Scores) -> None:
        """A forward pass for it is over, with these scores."""

    def answered(self, kind: str, written: int) -> None:
        """All of it was answered, in the end with this kind of answer, and with so many tokens of the target's own."""


NO_TRACES = Traces()
