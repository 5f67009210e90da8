"""What counts as an error, and which doubt speaks of it: for audits, labels, calibration and serving alike.

`strict`: x is not y, the token that the target itself would have drawn there with the noise that both sides share.
`typical`: that, and x is a word that the target would hardly have written (unlikely), or it goes on with a repetition,
which is never unlikely, once it goes on. So by either criterion no token is an error that the target wrote itself.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion

Flags = TypeVar("Flags", bool, np.ndarray)


def off_target(criterion: Criterion, off_strict: Flags, unlikely: Flags, repeating: Flags) -> Flags:
    """Whether a token x that was given is an error.

    Args:
        criterion: in use.
        off_strict: x is not the target's own choice; as are the others, one bool or ``bool [N]``.
        unlikely: p1(x) < min(eps, delta exp(-H(p1))), p1 the target's distribution at temperature 1.
        repeating: x goes on with a repetition, see `shared/repetition.py`.
    """
    return off_strict if criterion is Criterion.STRICT else off_strict & (unlikely | repeating)


def doubt_columns(criterion: Criterion) -> tuple[int, int]:
    """The column of a verifier's output that doubts a token, and the one that doubts a token that repeats.

    Within a repetition `typical` means `strict`, so the doubt is the one by `strict`.
    """
    return DOUBT_COLUMNS.index(criterion), DOUBT_COLUMNS.index(Criterion.STRICT)
