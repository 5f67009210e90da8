"""How a device that keeps a budget fares on text like the report's: its own steering, over labelled draft steps.

The steps go through the very code that moves a device's threshold (`shared/steering`), call for call as
`edge_client/decoding/decoder.py` and `edge_client/promise/feedback.py` make them. Two things a device may meet are left
out: text that is worded unlike the calibrated one, and an accepted error that leads the text astray.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from shared.steering.budget import Budget, Steering
from shared.steering.recalibration import CALIBRATED
from shared.steering.usual import Usual

# Accepted tokens in a row after which they are audited; it is `edge_client.settings.SPRINT_WINDOW`.
WINDOW = 32
# Windows from the beginning of an audit to where it takes effect; `edge_client.decoding.questions.WINDOWS_AHEAD`.
WINDOWS_AHEAD = 4
# A device is new for so many tokens, as the report counts it.
NEW = 1000
# So many new devices begin, each at another text, as the first thousand tokens of one say little.
BEGINNINGS = 10


@dataclass(frozen=True)
class Steps:
    """The draft's steps over one text, a position each, in order.

    Attributes:
        doubt: of the drafted token, ``float64 [n]``.
        off: whether it is an error by the criterion in use, ``bool [n]``.
        falls: whether it is not the target's own token, ``bool [n]``.
    """

    doubt: list[float]
    off: list[bool]
    falls: list[bool]


@dataclass(frozen=True)
class Shown:
    """What became of one text, ``bool [n]`` each: tokens that were asked about, and those shown although errors."""

    asked: np.ndarray
    wrong: np.ndarray


class Threshold(Protocol):
    """What decides about the tokens of a text: `Budget`, or `Fixed`."""

    threshold: float

    def doubted(self, doubt: float, /) -> None: ...

    def observe(self, off_target: int, shown: int, doubts: Sequence[float], errors: Sequence[bool], /) -> None: ...


@dataclass
class Fixed:
    """A threshold that no audit moves."""

    threshold: float

    def doubted(self, doubt: float, /) -> None:
        pass

    def observe(self, off_target: int, shown: int, doubts: Sequence[float], errors: Sequence[bool], /) -> None:
        pass


def written(steps: Steps, budget: Threshold, window: int = WINDOW) -> Shown:
    """What becomes of one text; what is shown by mistake does not change the steps after it.

    Args:
        steps: of the draft.
        budget: asks where the doubt is above its threshold, and hears of every audit.
        window: accepted tokens in a row after which they are audited.
    """
    count = len(steps.doubt)
    asked, wrong = np.zeros(count, bool), np.zeros(count, bool)
    waiting: list[int] = []  # drafted since the last question
    audits: deque[tuple[int, list[int]]] = deque()  # where they take effect, and of what
    own = 0  # written by the target since the last audit

    def audit(run: list[int], shown: int) -> None:
        nonlocal own
        doubts, errors = [steps.doubt[i] for i in run], [steps.off[i] for i in run]
        budget.observe(int(wrong[run].sum()), shown + own, doubts, errors)
        own = 0

    def take_effect(position: int) -> None:
        while audits and audits[0][0] <= position:
            run = audits.popleft()[1]
            audit(run, len(run))

    position = 0
    while position < count:
        take_effect(position)
        budget.doubted(steps.doubt[position])
        asks = steps.doubt[position] > budget.threshold
        asked[position], wrong[position] = asks, steps.off[position] and not asks
        waiting.append(position)
        position += 1
        if asks:
            take_effect(count + WINDOWS_AHEAD * window)
            falls = steps.falls[position - 1]
            audit(waiting, len(waiting) - falls)
            # With the answer comes a token of the target's own: in the place of one that fell, or else the next.
            own = int(falls or position < count)
            position += own - falls
        elif len(waiting) == window:
            audits.append((position + (WINDOWS_AHEAD - 1) * window, waiting))
        if asks or len(waiting) == window:
            waiting = []
    take_effect(count + WINDOWS_AHEAD * window)
    if waiting or own:
        audit(waiting, len(waiting))
    return Shown(asked, wrong)


class Device:
    """Writes texts under one budget, one after the other, and remembers what the audits said.

    Args:
        budget: largest divergence rate, off-target tokens per token shown.
        usual: the doubts of calibrated text.
    """

    def __init__(self, budget: float, usual: Usual) -> None:
        self._limit, self._usual = budget, usual
        self._known = Steering()

    def write(self, steps: Steps) -> Shown:
        """One more text, see `written`."""
        budget = Budget(self._limit, self._usual, CALIBRATED, self._known)
        shown = written(steps, budget)
        self._known = self._known.then(budget.taught, self._limit)
        return shown


def steered(texts: Sequence[Steps], budget: float, usual: Usual, threshold: float) -> dict[str, Any]:
    """The rates of a device under one budget, from nothing known of it, and of one that is not steered.

    Args:
        texts: one after the other; a device that begins at a later one goes on with the first.
        budget, usual: as for `Device`.
        threshold: of the device that is not steered.

    Returns:
        `new`, the first `NEW` tokens of `BEGINNINGS` devices together, `later`, what comes after them on one device
        (None where there is no more text), and `unaudited`, all texts under the threshold that stays: `tokens`,
        `ask_rate` and `divergence`, shares of the tokens shown.
    """
    first = [_joined(_beginning(texts, place, budget, usual)) for place in _places(len(texts))]
    old = Device(budget, usual)
    whole = _joined(old.write(text) for text in texts)
    later = Shown(whole.asked[NEW:], whole.wrong[NEW:])
    return {
        "budget": budget,
        "new": _rates(*first),
        "later": _rates(later) if len(later.asked) else None,
        "unaudited": _rates(*(written(text, Fixed(threshold)) for text in texts)),
    }


def _places(texts: int) -> list[int]:
    """Where devices begin, evenly over the texts."""
    return sorted({texts * i // BEGINNINGS for i in range(BEGINNINGS)})


def _beginning(texts: Sequence[Steps], begin: int, budget: float, usual: Usual) -> Iterator[Shown]:
    """The first `NEW` tokens of a device."""
    device, left = Device(budget, usual), NEW
    for text in (*texts[begin:], *texts[:begin]):
        if left <= 0:
            return
        shown = device.write(text)
        yield Shown(shown.asked[:left], shown.wrong[:left])
        left -= len(shown.asked)


def _joined(texts: Iterator[Shown]) -> Shown:
    parts = list(texts)
    return Shown(np.concatenate([part.asked for part in parts]), np.concatenate([part.wrong for part in parts]))


def _rates(*parts: Shown) -> dict[str, float]:
    whole = _joined(iter(parts))
    return {
        "tokens": len(whole.asked),
        "ask_rate": round(float(whole.asked.mean()), 5),
        "divergence": round(float(whole.wrong.mean()), 5),
    }
