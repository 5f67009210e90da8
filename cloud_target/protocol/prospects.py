"""What a stream lets the target expect while it is at work on one of its requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cloud_target.protocol.guesses import Guesses
from cloud_target.protocol.patience import Patience
from cloud_target.protocol.requests import Request


@dataclass(frozen=True)
class Prospects:
    """Of one stream.

    Attributes:
        guesses: what the edge thinks will be written; looked at before every pass in which the target writes on.
        patience: says whether to wait for more of them.
        waiting: the requests behind the one at work, in order; looked at before a pass that judges.
    """

    guesses: Guesses = field(default_factory=Guesses)
    patience: Patience = field(default_factory=Patience)
    waiting: Callable[[], Sequence[Request]] = tuple
