"""Which rows are worth running together: padding costs arithmetic, another call costs a launch. Both are measured.

On a CPU a call costs little and arithmetic much, so rows rarely share one; on a GPU it is the other way round. Hence
the costs are taken where the engine runs, when it starts, and not written down here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import torch

# Of one row: new tokens, and tokens that they look at.
Size = tuple[int, int]


@dataclass(frozen=True)
class Costs:
    """What a call costs on this device, seconds.

    Attributes:
        call: however small it is.
        pair: for each pair of a new token and one that it looks at.
        gathered: for each token that must be copied beside others so that rows can share a call.
        new: for each new token.
    """

    call: float
    pair: float = 0.0
    gathered: float = 0.0
    new: float = 0.0

    def of(self, count: int, new: int, seen: int) -> float:
        """Seconds of one call over `count` rows padded to one size; a single row is read where it lies."""
        copied = seen * self.gathered if count > 1 else 0.0
        return self.call + count * (new * seen * self.pair + new * self.new + copied)


def grouped(rows: Sequence[Size], costs: Costs) -> list[list[int]]:
    """Indices of rows, in groups: from the largest row to the smallest, each joins the group before it if that is
    cheaper than a call of its own."""
    groups: list[list[int]] = []
    seen = 0
    for i in sorted(range(len(rows)), key=lambda i: rows[i], reverse=True):
        if groups:
            count, new, wider = len(groups[-1]), rows[groups[-1][0]][0], max(seen, rows[i][1])
            if costs.of(count + 1, new, wider) < costs.of(count, new, seen) + costs.of(1, *rows[i]):
                groups[-1].append(i)
                seen = wider
                continue
        groups.append([i])
        seen = rows[i][1]
    return groups


def seconds(run: Callable[[], object], device: torch.device, tries: int = 5) -> float:
    """The shortest of a few runs, after one that does not count; each is waited for until the device has done it."""

    def once() -> float:
        begun = perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return perf_counter() - begun

    once()
    return min(once() for _ in range(tries))
