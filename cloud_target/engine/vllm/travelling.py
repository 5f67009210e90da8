"""How a feed travels to vLLM's workers, and its scores back, in what vLLM carries for anybody.

There, in a request's `extra_args`, all that scoring needs: the tokens that are scored, too, though they end the
request's prompt, for not every runner of vLLM keeps that where it could be read. Back, in the place of the prompt's
log-probabilities, of which vLLM asks only that they are tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cloud_target.engine.interface import Feed, Masks
from cloud_target.engine.scoring.score import RowScores
from shared.config import Coupling, Sampling

# The name of ours among a request's `extra_args`.
NAME = "tandem"
# Bits of a row: x is not the own token; x is an unlikely word; the own token is one.
_OFF, _UNLIKELY, _OWN_UNLIKELY = 1, 2, 4
# What stands where no row has been scored.
_NOTHING = -1


def packed(feed: Feed, vocabulary: int) -> dict[str, Any]:
    """All that the workers must know of a feed, as numbers, lists and bytes."""
    sampling = feed.sampling
    there: dict[str, Any] = {
        "begin": feed.start,
        "first": feed.start + feed.score_from,
        "tokens": [*feed.tokens[feed.score_from :]],
        "sampling": [sampling.temperature, sampling.top_k, sampling.top_p, str(sampling.seed)],  # of 64 bits
        "vocabulary": vocabulary,
        "spare": feed.spare,
    }
    if feed.coupling is Coupling.RESIDUAL:
        there["q"] = [[ids.tolist(), probabilities.tolist()] for ids, probabilities in feed.q]
    if feed.masks is not None:
        there["masks"] = feed.masks.rows(feed).tobytes()
    return there


def ours(parameters: Any) -> dict[str, Any] | None:
    """What travels with a request of ours, by its `SamplingParams`; None with others."""
    return (parameters.extra_args or {}).get(NAME) if parameters is not None else None


def first_row(there: dict[str, Any]) -> int:
    """The position of the first token whose row is scored: a cache may be read up to there, and no further."""
    return int(there["first"])


def begin_of(there: dict[str, Any]) -> int:
    """The position of the first token that an open request goes on with."""
    return int(there["begin"])


def vocabulary_of(there: dict[str, Any]) -> int:
    """Ids are below this; a model may have more logits."""
    return int(there["vocabulary"])


def unpacked(there: dict[str, Any]) -> Feed:
    """The scored end of a feed again."""
    tokens = there["tokens"]
    temperature, top_k, top_p, seed = there["sampling"]
    masks = None
    if "masks" in there:
        rows = np.frombuffer(there["masks"], np.uint8).reshape(len(tokens), -1)
        masks = Masks(None, first_row(there), lambda: rows)
    return Feed(
        0,
        first_row(there),
        tuple(tokens),
        0,
        Sampling(temperature, top_k, top_p, int(seed)),
        Coupling.RESIDUAL if "q" in there else Coupling.GUMBEL,
        tuple((np.array(some, np.int64), np.array(mass, np.float64)) for some, mass in there.get("q", ())),
        spare=there["spare"],
        masks=masks,
    )


class Answers:
    """The scores of a feed's rows, and of its guesses, as they become known.

    Args:
        rows, guesses: how many there are.

    Attributes:
        ids: the own token and the bits of each row; of a guess, nothing and its bits: ``int32 [rows + guesses, 2]``.
        nll: of the own token and of x, nats; of a guess, nothing and its own: ``float32 [rows + guesses, 2]``.
    """

    def __init__(self, rows: int, guesses: int) -> None:
        self.ids = np.full((rows + guesses, 2), _NOTHING, np.int32)
        self.nll = np.zeros((rows + guesses, 2), np.float32)

    def add(self, found: RowScores, rows: slice, guesses: slice, at: int, guesses_at: int) -> None:
        """Take over, from the scores of a pass, those of some rows and guesses.

        Args:
            rows, guesses: where they are in the pass.
            at, guesses_at: where they belong here.
        """
        here = slice(at, at + len(found.own[rows]))
        self.ids[here, 0] = found.own[rows]
        self.ids[here, 1] = (
            _OFF * found.off_strict[rows] + _UNLIKELY * found.unlikely[rows] + _OWN_UNLIKELY * found.own_unlikely[rows]
        )
        self.nll[here, 0], self.nll[here, 1] = found.own_nll[rows], found.nll[rows]
        here = slice(guesses_at, guesses_at + len(found.beside_nll[guesses]))
        self.ids[here, 0], self.ids[here, 1] = 0, _UNLIKELY * found.beside_unlikely[guesses]
        self.nll[here, 1] = found.beside_nll[guesses]


def row_scores(ids: np.ndarray, nll: np.ndarray, guesses: int) -> RowScores | None:
    """The scores of one feed's rows and guesses, as they came back; None where not all of them were scored.

    Args:
        ids, nll: as in `Answers`.
    """
    if (ids < 0).any():
        return None
    count = len(ids) - guesses
    bits, beside = ids[:count, 1], ids[count:, 1]
    return RowScores(
        ids[:count, 0].astype(np.int64),
        nll[:count, 0].astype(np.float64),
        (bits & _OWN_UNLIKELY) > 0,
        (bits & _OFF) > 0,
        (bits & _UNLIKELY) > 0,
        nll[:count, 1].astype(np.float64),
        (beside & _UNLIKELY) > 0,
        nll[count:, 1].astype(np.float64),
        np.zeros(count, bool),
    )
