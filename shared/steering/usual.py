"""What a doubt is worth in calibrated text: a rising line through what was counted there.

Few tokens that are hardly doubted are errors, and they weigh little where a verifier is fitted; so it may be off by a
factor of three just where a small budget has its threshold. Counting puts that right before any audit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


class Usual:
    """The doubts of calibrated text, and the errors among them.

    Args:
        doubts: log-odds, some of their quantiles, ascending, one at least.
        errors: log-odds of an error at each of them; rising where the doubts do. None: the doubts are honest.

    Attributes:
        doubts: as above, ``float64 [n]``.
        errors: as above, ``float64 [n]``.
    """

    def __init__(self, doubts: ArrayLike, errors: ArrayLike | None = None) -> None:
        self.doubts = np.array(doubts, float)
        self.errors = self.doubts if errors is None else np.array(errors, float)
        # Of equal doubts one is enough; what lies between two others is as theirs.
        kept = np.append(np.diff(self.doubts) > 0, True)
        self._x, self._y = self.doubts[kept], self.errors[kept]

    def error(self, doubts: np.ndarray) -> np.ndarray:
        """The log-odds of errors that stand behind doubts, log-odds too, of any shape."""
        return _along(doubts, self._x, self._y)

    def doubt(self, error: float) -> float:
        """The log-odds of the doubt behind which errors of these log-odds stand."""
        return float(_along(np.array(error), self._y, self._x))


def _along(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y at these x, between the points as on a line, beyond the ends with a slope of one."""
    inside = np.minimum(np.maximum(values, x[0]), x[-1])
    found: np.ndarray = np.interp(inside, x, y) + (values - inside)
    return found
