"""What the draft may propose where a text keeps to a grammar.

The draft's graph gives its K likeliest tokens and the log-sum-exp of all logits, so q under a grammar is known on those
of the K that it allows; of the others it is only known how much mass they have together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_client.inference.draft import Step
from shared import noise
from shared.config import Sampling
from shared.features import LARGEST
from shared.grammar.cursor import Allowed
from shared.grammar.engine import Grammar

# How far below the last candidate those stand that the verifier's features want and the grammar leaves none for, nats.
_BEYOND = 10.0
# No less mass is told apart from none.
_LEAST = 1e-300


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A step under a grammar.

    Attributes:
        step: what is left of it. There may be more logits than candidates: those fill the verifier's features only.
        is_forced: there is one token only that the grammar allows: the target's own, without asking.
        is_blind: of the draft's candidates none is allowed, so all that can be done is to ask; the candidates are some
            that are allowed, and are no draw from q.
        is_structure: see `shared.grammar.cursor.Allowed`.
        is_free: the grammar forbids nothing here, so tokens beyond the candidates may be drawn, too.
    """

    step: Step
    is_forced: bool = False
    is_blind: bool = False
    is_structure: bool = False
    is_free: bool = False


class Constraint:
    """Narrows the draft's steps for one text.

    Args:
        grammar: that the text keeps to.
        begin: position of the first token that does.
        end_ids: tokens that end the text.
        sampling: how tokens are drawn.
    """

    def __init__(self, grammar: Grammar, begin: int, end_ids: Iterable[int], sampling: Sampling) -> None:
        self._cursor = grammar.cursor(end_ids)
        self._begin = begin
        self._sampling = sampling

    def narrow(self, step: Step, text: Sequence[int]) -> Narrowed:
        """What is left of the step after `text`, all ids up to there.

        Raises:
            InputError: the grammar cannot be followed any further.
        """
        allowed = self._cursor.allowed(text[self._begin :])
        if allowed is None:
            return Narrowed(step, is_free=True)
        if allowed.count == 1:
            return Narrowed(_made_up(step, allowed.ids()), is_forced=True)
        kept = allowed.has(step.ids)
        if not kept.any():
            return Narrowed(_made_up(step, self._nearest(allowed, len(text))), is_blind=True)
        left = step if kept.all() else _left(step, kept, allowed.count)
        return Narrowed(left, is_structure=allowed.is_structure)

    def _nearest(self, allowed: Allowed, position: int) -> np.ndarray:
        """Three tokens of which the draft knows nothing but that they are allowed. The noise that the target draws with
        speaks for them; without noise the first ids stand in."""
        ids = allowed.ids()
        if self._sampling.temperature:
            g = noise.gumbel(noise.key(self._sampling.seed, position), ids)
            ids = ids[np.argsort(-g, kind="stable")]
        return ids[:3]


def _made_up(step: Step, ids: np.ndarray) -> Step:
    """A step with these candidates and nothing to choose between them by."""
    return replace(step, ids=ids, logits=np.zeros(len(ids), np.float32))


def _left(step: Step, kept: np.ndarray, allowed: int) -> Step:
    """The step as if the model had no tokens but those allowed, the mass of tokens beyond the candidates included.

    Nobody knows which of those are allowed, unless all that are have been found. Where little that is allowed was among
    the candidates, they weigh much, and the verifier sees a draft that is not sure.

    Args:
        kept: which candidates are allowed, ``bool [K]``.
        allowed: how many tokens are, in all.
    """
    logits = step.logits.astype(np.float64) - step.log_normaliser
    p = np.exp(logits)
    # The mass beyond the candidates, and the sum of p ln p there, at temperature 1.
    mass = beyond = 0.0
    if allowed > kept.sum():
        mass = max(1.0 - float(p.sum()), 0.0)
        beyond = min(-step.entropy - float(p @ logits), 0.0)
    total = max(float(p[kept].sum()) + mass, _LEAST)
    log_total = math.log(total)
    entropy = max(log_total - (float(p[kept] @ logits[kept]) + beyond) / total, 0.0)
    rest = step.logits[kept]
    if len(rest) < LARGEST:
        rest = np.append(rest, np.full(LARGEST - len(rest), rest[-1] - _BEYOND, rest.dtype))
    return Step(step.ids[kept], rest, step.log_normaliser + log_total, entropy, step.hidden)
