"""Whether a new bundle is worse than the one before it: a test that may be looked at after every text.

Errors stay within the budget whatever a bundle is worth, for a bad one is asked about more. So what a reader notices,
and what is compared, is how often the device does not manage alone: the *need* of a text is the share of its audited
tokens that the target was asked about, or that its audit found off-target. One bundle is worse than another if its
texts have a mean need above the other's `bar`: a quarter and two tokens of a hundred more than was measured, and two
standard errors on top.

The test bets against "not worse". A capital of 1 is multiplied by 1 + b (need / bar - 1) after each sample, for several
stakes b below 1 side by side; if no sample's mean is above its bar, given all before it, their average is a
non-negative supermartingale, and ever reaches 1 / `FALSE_ALARMS` with a probability of `FALSE_ALARMS` at most (Ville
1939; betting on a bounded mean: Waudby-Smith and Ramdas, JRSS-B 86, 2024; averaging the stakes: Robbins 1970). Tokens
of one text are alike, so what is bet on is whole texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge_client.settings import Settings
from shared.config import Mode

# A bundle that is not worse is given up with this probability at most, however long one looks.
FALSE_ALARMS = 0.01
# Texts are put together until they have so many audited tokens: in shorter ones chance is all there is.
SAMPLE_TOKENS = 64
# Of a new bundle so many audited tokens are only what its budget begins with, not what it is worth.
WARM_UP = 4 * SAMPLE_TOKENS
# Samples after which a bundle has stood its trial.
LONGEST = 200
# Fewer samples are no measure for another bundle; nor, where nothing better can be had, so few.
LEAST = 12
FEW = 4
# Of a record about so many samples count, the last ones: what a device writes changes.
REMEMBERED = 256
# Worse is more than so much above what was measured: as a factor, and in tokens a token.
FACTOR, MARGIN, ERRORS = 1.25, 0.02, 2.0
STAKES = (0.1, 0.25, 0.5, 0.9)


def kind_of(settings: Settings) -> str | None:
    """What texts must have in common for their needs to be compared; None for those that say nothing of a bundle.

    Only in `sprint` does the device decide alone, and what a grammar forces is no merit of the draft.
    """
    if settings.effective_mode is not Mode.SPRINT or settings.grammar is not None:
        return None
    promise = f"{settings.criterion} {settings.budget:g} {settings.coupling}{' learns' if settings.learn else ''}"
    domain = f", {settings.domain}" if settings.domain else ""
    return f"{promise}, {settings.temperature:g} {settings.top_k} {settings.top_p:g}{domain}"


@dataclass(frozen=True)
class Measure:
    """What a bundle on trial is held against, in one kind of texts.

    Attributes:
        usual: the mean need of the bundle before it.
        bar: above which it is worse.
    """

    usual: float
    bar: float


@dataclass(frozen=True)
class Needs:
    """The needs of one kind of texts that a bundle has written with one target.

    Attributes:
        samples, total, squares: how many, the sum of their needs, and of the squares; older ones fade.
        tokens, needed: of what is no sample yet.
    """

    samples: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    tokens: int = 0
    needed: int = 0

    def then(self, tokens: int, needed: int) -> tuple[Needs, float | None]:
        """With one more text, and the need of the sample that is full with it, if one is.

        Args:
            tokens: audited.
            needed: of them, those for which the device needed the target.
        """
        tokens, needed = self.tokens + tokens, self.needed + needed
        if tokens < SAMPLE_TOKENS:
            return replace(self, tokens=tokens, needed=needed), None
        need = min(needed / tokens, 1.0)
        kept = min(1.0, (REMEMBERED - 1) / self.samples) if self.samples else 1.0
        return Needs(kept * self.samples + 1, kept * self.total + need, kept * self.squares + need * need), need

    @property
    def mean(self) -> float:
        """Of the samples, of which there is one at least."""
        return self.total / self.samples

    def measure(self, least: int = LEAST) -> Measure | None:
        """What another bundle is held against; None where there are fewer than `least` samples, 2 or more."""
        if self.samples < least:
            return None
        variance = max(self.squares / self.samples - self.mean**2, 0.0)
        error = math.sqrt(variance / (self.samples - 1))
        return Measure(self.mean, FACTOR * (self.mean + ERRORS * error) + MARGIN)


@dataclass(frozen=True)
class Trial:
    """A bundle on trial.

    Attributes:
        measures: by kind; texts of other kinds say nothing.
        warmed: audited tokens that did not count, for the bundle was too new.
        samples: that counted.
        needs, usual: sums over these samples: of their needs, and of the means they were held against.
        capitals: of the bets, one a stake.
    """

    measures: Mapping[str, Measure]
    warmed: int = 0
    samples: int = 0
    needs: float = 0.0
    usual: float = 0.0
    capitals: tuple[float, ...] = field(default=(1.0,) * len(STAKES))

    def warm(self, tokens: int) -> Trial:
        """With the first texts, until they have `WARM_UP` tokens."""
        return replace(self, warmed=self.warmed + tokens)

    @property
    def is_warm(self) -> bool:
        """Whether samples count by now."""
        return self.warmed >= WARM_UP

    def then(self, kind: str, need: float) -> Trial:
        """With one more sample."""
        measure = self.measures.get(kind)
        if measure is None:
            return self
        gain = need / measure.bar - 1.0
        capitals = tuple(capital * (1.0 + stake * gain) for capital, stake in zip(self.capitals, STAKES, strict=True))
        return replace(
            self,
            samples=self.samples + 1,
            needs=self.needs + need,
            usual=self.usual + measure.usual,
            capitals=capitals,
        )

    @property
    def has_failed(self) -> bool:
        """Whether the bundle is worse. Who sees it acts at once: later samples could make good for it."""
        return self.samples >= FEW and sum(self.capitals) >= len(STAKES) / FALSE_ALARMS

    @property
    def has_passed(self) -> bool:
        """Whether the trial was long enough."""
        return self.samples >= LONGEST and not self.has_failed
