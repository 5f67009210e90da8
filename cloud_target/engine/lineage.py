"""Who follows whom among the tokens of a feed whose guesses are a tree.

Such tokens stand one behind the other in memory, so what each is and what it may look at has to be said: its position
is that of its parent and one more, and it sees its ancestors only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def depths(follows: Sequence[int]) -> list[int]:
    """How many tokens stand before each one on its path.

    Args:
        follows: of every token, the index of the one that it follows; -1 for the first.
    """
    found: list[int] = []
    for parent in follows:
        found.append(0 if parent < 0 else found[parent] + 1)
    return found


def ancestors(follows: Sequence[int]) -> np.ndarray:
    """Whether token j stands on the path to token i, or is i itself, ``bool [N, N]``."""
    found = np.eye(len(follows), dtype=bool)
    for index, parent in enumerate(follows):
        if parent >= 0:
            found[index] |= found[parent]
    return found
