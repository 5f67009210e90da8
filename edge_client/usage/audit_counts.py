"""What audits have counted: tokens shown, seen by the target, asked about, and off-target by each criterion."""

from __future__ import annotations

from dataclasses import dataclass

from shared import values
from shared.config import Criterion


@dataclass(frozen=True)
class AuditCounts:
    """Counts of one text, or of many: they add up.

    Attributes:
        shown: tokens shown, prompt not counted.
        known: of them, those that the target has seen; rates rest on these.
        asked: tokens that the target was asked about.
        off_typical, off_strict: accepted tokens that are off-target by each criterion.
        unlikely: known tokens that are words which the target would hardly have written, whoever wrote them.
        nll: of the known tokens under the target at temperature 1, summed, nats.
    """

    shown: int = 0
    known: int = 0
    asked: int = 0
    off_typical: int = 0
    off_strict: int = 0
    unlikely: int = 0
    nll: float = 0.0

    def off(self, criterion: Criterion | str) -> int:
        """Off-target tokens by one criterion, which may be given as a plain string.

        Raises:
            InputError: there is no such criterion.
        """
        by = values.choice(Criterion, "criterion", criterion)
        return self.off_strict if by is Criterion.STRICT else self.off_typical

    def rate(self, criterion: Criterion | str) -> float | None:
        """The divergence rate by one criterion: off-target tokens per known token; None where nothing is known.

        Raises:
            InputError: as `off`.
        """
        off = self.off(criterion)
        return off / self.known if self.known else None

    @property
    def ask_rate(self) -> float:
        """Share of the tokens that the target was asked about."""
        return self.asked / self.shown if self.shown else 0.0

    @property
    def unlikely_share(self) -> float | None:
        """Share of unlikely words, whoever wrote them: some belong in any text; None where nothing is known."""
        return self.unlikely / self.known if self.known else None

    @property
    def mean_nll(self) -> float | None:
        """Negative log-likelihood under the target, nats a token; None where nothing is known."""
        return self.nll / self.known if self.known else None

    def __add__(self, other: AuditCounts) -> AuditCounts:
        return AuditCounts(
            self.shown + other.shown,
            self.known + other.known,
            self.asked + other.asked,
            self.off_typical + other.off_typical,
            self.off_strict + other.off_strict,
            self.unlikely + other.unlikely,
            self.nll + other.nll,
        )


@dataclass(frozen=True)
class AuditReport:
    """What the audits say about one text, by the criterion that its budget was about.

    Attributes:
        criterion: in use.
        counts: by both criteria.
    """

    criterion: Criterion
    counts: AuditCounts

    @property
    def rate(self) -> float | None:
        """The audited divergence rate: off-target tokens per known token; None where nothing is known."""
        return self.counts.rate(self.criterion)

    @property
    def tokens(self) -> int:
        """How many tokens the rate rests on."""
        return self.counts.known
