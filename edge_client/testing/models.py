"""A draft and a verifier that are functions: the loop runs anywhere, in microseconds, with no model at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edge_client.inference.draft import Draft, Leaf, Step
from shared.draw import Draw
from shared.features import NAMES, SCALARS

_SMALLEST = 1e-30
_CANDIDATES = 64


class ScriptedDraft(Draft):
    """A draft whose distribution is a pure function of the text; its tree branches.

    Args:
        distribution: from the ids read so far to the probabilities of the next one, ``[vocabulary]``, which sum to 1.
        vocabulary: number of token ids.
        context: longest sequence in tokens.
        hidden: size of the hidden state, which is all zeros.
        candidates: K, how many of the likeliest tokens a step gives; fewer if the vocabulary is smaller.
    """

    branches = True

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
        self._paths: list[list[int]] = []  # of the nodes, from the text on
        count = min(candidates, vocabulary)
        nothing = np.zeros(hidden, np.float32)
        self._step = Step(np.zeros(count, np.int64), np.zeros(count, np.float32), 0.0, 0.0, nothing)

    def _read(self, ids: Sequence[int]) -> Step:
        del self._text[self.length :]
        self._text.extend(ids)
        self.length = len(self._text)
        return self._after(self._text, self._step)  # overwritten by each call, as a real draft's is

    def _grow(self, leaves: Sequence[Leaf]) -> list[Step]:
        steps = []
        del self._paths[self.nodes :]
        for token, parent in leaves:
            self._paths.append([*(self._paths[parent] if parent >= 0 else ()), token])
            step = replace(self._step, ids=self._step.ids.copy(), logits=self._step.logits.copy())
            steps.append(self._after([*self._text[: self.length], *self._paths[-1]], step))
        self.nodes = len(self._paths)
        return steps

    def _keep(self, path: Sequence[int], rest: Sequence[int]) -> None:
        self._text[self.length :] = self._paths[path[-1]] if path else []
        self._paths = [self._paths[node][len(path) :] for node in rest]

    def _after(self, text: Sequence[int], step: Step) -> Step:
        p = np.maximum(np.asarray(self._distribution(tuple(text)), np.float64), _SMALLEST)
        log_p = np.log(p)
        step.ids[:] = np.argsort(-p, kind="stable")[: len(step.ids)]
        step.logits[:] = log_p[step.ids]
        step.entropy = float(-(p * log_p).sum())
        return step


class ScriptedVerifier:
    """A verifier that is a function of the draft's step and the draw.

    Args:
        doubt: the probability that the drawn token is off-target.
        falls: that it is not the target's own; by default the same.

    Attributes:
        scalars: see `edge_client.inference.verifier.Verifier`; of them only ln q(x) is filled in.
    """

    def __init__(
        self, doubt: Callable[[Step, Draw], float], falls: Callable[[Step, Draw], float] | None = None
    ) -> None:
        self._doubt, self._falls = doubt, falls or doubt
        self.scalars = np.zeros(SCALARS, np.float32)

    def doubt(self, step: Step, draw: Draw, temperature: float, column: int) -> tuple[float, float]:
        """See `edge_client.inference.verifier.Verifier.doubt`."""
        self.scalars[NAMES.index("log_q")] = draw.log_q
        return self._doubt(step, draw), self._falls(step, draw)
