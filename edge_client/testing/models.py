"""A draft and a verifier that are functions: the loop runs anywhere, in microseconds, with no model at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edge_client.inference.draft import Draft, Step
from shared.features import NAMES, SCALARS
from shared.sampling import Draw

_SMALLEST = 1e-30
_CANDIDATES = 64


class ScriptedDraft(Draft):
    """A draft whose distribution is a pure function of the text.

    Args:
        distribution: from the ids read so far to the probabilities of the next one, ``[vocabulary]``, which sum to 1.
        vocabulary: number of token ids.
        context: longest sequence in tokens.
        hidden: size of the hidden state, which is all zeros.
        candidates: K, how many of the likeliest tokens a step gives; fewer if the vocabulary is smaller.
    """

    def __init__(
        self,
        distribution: Callable[[tuple[int, ...]], Sequence[float] | np.ndarray],
        vocabulary: int,
        context: int = 4096,
        hidden: int = 8,
        candidates: int = _CANDIDATES,
    ) -> None:
        super().__init__(vocabulary, context)
        self._distribution = distribution
        self._text: list[int] = []
        count = min(candidates, vocabulary)
        nothing = np.zeros(hidden, np.float32)
        self._step = Step(np.zeros(count, np.int64), np.zeros(count, np.float32), 0.0, 0.0, nothing)

    def _read(self, ids: Sequence[int]) -> Step:
        del self._text[self.length :]
        self._text.extend(ids)
        self.length = len(self._text)
        p = np.maximum(np.asarray(self._distribution(tuple(self._text)), np.float64), _SMALLEST)
        log_p = np.log(p)
        step = self._step  # overwritten by each call, as a real draft's is
        step.ids[:] = np.argsort(-p, kind="stable")[: len(step.ids)]
        step.logits[:] = log_p[step.ids]
        step.entropy = float(-(p * log_p).sum())
        return step


class ScriptedVerifier:
    """A verifier that is a function of the draft's step and the draw.

    Attributes:
        scalars: see `edge_client.inference.verifier.Verifier`; of them only ln q(x) is filled in.
    """

    def __init__(self, doubt: Callable[[Step, Draw], float]) -> None:
        self._function = doubt
        self.scalars = np.zeros(SCALARS, np.float32)

    def doubt(self, step: Step, draw: Draw, temperature: float, column: int) -> float:
        """See `edge_client.inference.verifier.Verifier.doubt`."""
        self.scalars[NAMES.index("log_q")] = draw.log_q
        return self._function(step, draw)
