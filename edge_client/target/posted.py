"""What is under way between one text and the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_client.target.verdict import Question

# Token ids and their probabilities, as the residual coupling needs them of the draft.
Distribution = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Posted:
    """A question under way.

    Attributes:
        number: of its request; None if it was not sent.
        position, hash: of the text that it builds on: it is answered where the target then knows just that.
        is_wanted: whether anybody still wants to know.
        time: when it was asked, seconds.
    """

    number: int | None
    question: Question
    position: int
    hash: int
    q: Sequence[Distribution]
    is_wanted: Callable[[], bool]
    time: float
