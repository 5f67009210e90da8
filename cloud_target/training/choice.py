"""Which doubt a bundle ships for each criterion: the trained head, or one that cost nothing and asks less.

The rule: on documents that no head was fitted to, the doubt that asks about the fewest tokens, in the mean over the
budgets of the calibration and the ways of sampling; where several ask about as few, the trained head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cloud_target.training.calibrate import BUDGETS
from cloud_target.training.doubts import ask_rate, doubt_of, off_target
from cloud_target.training.label import Rows
from cloud_target.training.verifier import Head
from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion

_HELD = 0.1  # of the documents
_FEWEST = 4  # documents of which one can be held
_DIGITS = 4  # doubts whose shares differ by less are as good as each other


@dataclass(frozen=True)
class Choice:
    """What was chosen for one criterion, and by what.

    Attributes:
        criterion: that the doubt is by.
        name: of the doubt.
        asks: share of tokens that each doubt asks about, the mean over budgets and ways of sampling, by its name.
        tokens, documents: how many that rests on.
    """

    criterion: Criterion
    name: str
    asks: dict[str, float]
    tokens: int
    documents: int


def hold_documents(numbers: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """Numbers of the documents to choose by, which nothing may be fitted to; none where there are hardly any.

    Args:
        numbers: of the documents of all rows, in as many parts as one likes, ``int [N]`` each.
        seed: of the choice.
    """
    documents = np.unique(np.concatenate([np.unique(part) for part in numbers]))
    if len(documents) < _FEWEST:
        return documents[:0]
    drawn = np.random.default_rng((seed, 1)).permutation(documents)
    return drawn[: max(1, round(_HELD * len(documents)))]


def choose(heads: Mapping[str, Head], held: Sequence[Rows]) -> tuple[Head, list[Choice]]:
    """The head to ship, and a choice for each of `DOUBT_COLUMNS`.

    Args:
        heads: by their names, the trained one first; all standardised alike.
        held: rows that none was fitted to, all of one way of sampling each.
    """
    held = [rows for rows in held if len(rows)]
    doubts = {name: [head.doubt(rows.features) for rows in held] for name, head in heads.items()}
    chosen: dict[Criterion, Choice] = {}
    # `strict` first, as it speaks of repetitions under `typical` too.
    for criterion in sorted(DOUBT_COLUMNS, key=lambda criterion: criterion is not Criterion.STRICT):
        column = DOUBT_COLUMNS.index(criterion)
        asks = {}
        for name, found in doubts.items():
            strict = doubts[chosen[Criterion.STRICT].name] if chosen else found
            shares = []
            for rows, own, other in zip(held, found, strict, strict=True):
                columns = np.array(other)
                columns[:, column] = own[:, column]
                doubt, off = doubt_of(criterion, columns, rows), off_target(rows, criterion)
                shares += [ask_rate(doubt, off, budget) for budget in BUDGETS]
            asks[name] = round(float(np.mean(shares)), _DIGITS) if shares else 0.0
        name = min(asks, key=asks.__getitem__)
        documents = {number for rows in held for number in rows.document.tolist()}
        chosen[criterion] = Choice(criterion, name, asks, sum(map(len, held)), len(documents))
    choices = [chosen[criterion] for criterion in DOUBT_COLUMNS]
    return _joined([heads[choice.name] for choice in choices]), choices


def _joined(heads: Sequence[Head]) -> Head:
    """One head whose every output is that of another one."""
    first = heads[0]
    if all(head is first for head in heads):
        return first
    offsets = np.stack([head.b2[column] for column, head in enumerate(heads)])
    if all(head.w1 is None for head in heads):
        return replace(first, w2=np.stack([head.w2[column] for column, head in enumerate(heads)]), b2=offsets)
    layers = [_hidden(head, column) for column, head in enumerate(heads)]
    w2 = np.zeros((len(heads), sum(len(output) for _, _, output in layers)), np.float32)
    begin = 0
    for column, (_, _, output) in enumerate(layers):
        w2[column, begin : begin + len(output)] = output
        begin += len(output)
    w1, b1 = (np.concatenate([layer[part] for layer in layers]) for part in (0, 1))
    return replace(first, w1=w1, b1=b1, w2=w2, b2=offsets)


def _hidden(head: Head, column: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hidden layer and output weights of one column; a linear head's sum is its positive part less its negative."""
    if head.w1 is None or head.b1 is None:
        return np.stack((head.w2[column], -head.w2[column])), np.zeros(2, np.float32), np.array((1, -1), np.float32)
    return head.w1, head.b1, head.w2[column]
