"""What a target thinks of one position, straight from the definitions: its own token, and the one it was given."""

from __future__ import annotations

import numpy as np

from shared.config import TYPICAL_DELTA, TYPICAL_EPS, Sampling
from shared.coupling import judge_residual
from shared.sampling import Sampler


class Opinion:
    """The target's view of the token at `position`, after all that stands before it.

    Args:
        logits: of that token, ``float32 [vocabulary]``.
        sampling: how the target draws.
        position: of that token in the whole text; the noise hangs on it.

    Attributes:
        own: the token that the target would write there, y.
    """

    def __init__(self, logits: np.ndarray, sampling: Sampling, position: int) -> None:
        self._sampling = sampling
        self._position = position
        likeliest_first = np.argsort(-logits, kind="stable")
        self._draw = Sampler(sampling).draw(likeliest_first, logits[likeliest_first], position)
        self.own = self._draw.token
        exact = logits.astype(np.float64)
        self._log_p1 = exact - np.logaddexp.reduce(exact)
        self._entropy = -float(np.exp(self._log_p1) @ self._log_p1)

    def nll(self, x: int) -> float:
        """-ln p1(x), p1 the distribution at temperature 1 and without truncation, nats."""
        return float(-self._log_p1[x])

    def is_unlikely(self, x: int) -> bool:
        """Whether the target would hardly have written x: p1(x) < min(eps, delta exp(-H(p1)))."""
        return bool(np.exp(self._log_p1[x]) < min(TYPICAL_EPS, TYPICAL_DELTA * np.exp(-self._entropy)))

    def residual_choice(self, x: int, q: tuple[np.ndarray, np.ndarray]) -> int:
        """x if the residual coupling accepts it, else the token that replaces it.

        Args:
            x: drawn from q by the draft.
            q: the draft's distribution, ids ``int64 [n]`` and probabilities ``float64 [n]``.
        """
        p = np.zeros(len(self._log_p1))
        survivors, shares = self._draw.distribution
        p[survivors] = shares
        return judge_residual(x, p, q, self._sampling, self._position)
