"""What a draw tells: the token, and how sure the draft was of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Stands for "no second survivor": the draft's choice could not have been closer.
MARGIN_LIMIT = 10.0
# Of the tokens that did not survive top-p or top-k, so many may be the rival: the target may think otherwise.
OUTSIDERS = 3


@dataclass(slots=True)
class Draw:
    """One draw from q, and what it tells about how sure the draft was.

    Attributes:
        token: the drawn id, x.
        logit: its raw logit.
        index: its rank in the vocabulary, 0 for the likeliest.
        survivors: how many tokens survived top-k and top-p.
        log_q: ln q(x), after temperature and truncation, nats.
        noisy_margin: gap between the best and the second best of log q + g among the survivors, at most `MARGIN_LIMIT`.
        rival: id of the token with the largest log q + g that was not drawn, outsiders among them; x where there is
            no other.
        rival_logit: its raw logit.
        third: id of the token with the next largest; the rival where there is none.
        rival_gap: how far the rival lies below x in log q + g, at most `MARGIN_LIMIT`; below 0 for an outsider that
            only truncation kept from being drawn.
        distribution: ids and probabilities of q, best first, ``int64 [survivors]`` and ``float64 [survivors]``; to be
            asked for before the draft's next step.
    """

    token: int
    logit: float
    index: int
    survivors: int
    log_q: float
    noisy_margin: float
    rival: int
    rival_logit: float
    third: int
    rival_gap: float
    _ids: np.ndarray
    _log_q: Sequence[float]

    @property
    def distribution(self) -> tuple[np.ndarray, np.ndarray]:
        # The candidates are a view of memory that the next step overwrites.
        return self._ids[: self.survivors].copy(), np.exp(self._log_q)
