"""What happened in one generation: counts, audits and times, gathered at calls and summed up at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge_client.budget import Budget
from edge_client.text import Origin, Text
from shared.config import Criterion

if TYPE_CHECKING:
    from edge_client.drafter import Drafter
    from edge_client.target import Audit, TargetSession, Verdict


@dataclass(frozen=True)
class Summary:
    """The figures of one run; rates are None where nothing was measured.

    Attributes:
        tokens: shown, prompt not counted.
        accepted, confirmed, target: of them, by origin.
        asked: tokens the target was asked about.
        calls: to the target.
        run_length: mean number of tokens accepted between two calls.
        audited: accepted tokens that the target has audited.
        off_strict, off_typical: of them, off-target by each criterion.
        divergence_strict, divergence_typical: off-target accepted tokens per token shown whose audit is known.
        target_nll: mean negative log-likelihood under the target at temperature 1, nats a token.
        bytes_up, bytes_down: payload (serialised messages) without the prompt's tokens.
        bytes_prompt: payload of the prompt's tokens.
        total_ms, draft_ms, verifier_ms, network_ms, target_ms: wall time, and its parts.
        first_token_ms: until the first token was shown.
        threshold: of the verifier's doubt at the end; None where it was not used.
    """

    tokens: int
    accepted: int
    confirmed: int
    target: int
    asked: int
    calls: int
    run_length: float | None
    audited: int
    off_strict: int
    off_typical: int
    divergence_strict: float | None
    divergence_typical: float | None
    target_nll: float | None
    bytes_up: int
    bytes_down: int
    bytes_prompt: int
    reconnects: int
    total_ms: float
    first_token_ms: float
    draft_ms: float
    verifier_ms: float
    network_ms: float
    target_ms: float
    threshold: float | None

    @property
    def tokens_per_second(self) -> float:
        return 1000 * self.tokens / self.total_ms if self.total_ms else 0.0

    def divergence(self, criterion: Criterion) -> float | None:
        """The divergence rate by one criterion."""
        return self.divergence_strict if criterion is Criterion.STRICT else self.divergence_typical

    def as_dict(self) -> dict:
        return asdict(self) | {"tokens_per_second": round(self.tokens_per_second, 2)}


class Record:
    """Gathers what the target said, by position, and feeds the budget with it.

    Attributes:
        known: negative log-likelihood under the target, nats, of each position that it has seen.
        off_target: the accepted positions that are errors, by criterion.
    """

    def __init__(self, criterion: Criterion, budget: Budget | None = None) -> None:
        self._criterion = criterion
        self._budget = budget
        self.known: dict[int, float] = {}
        self.off_target: dict[Criterion, set[int]] = {criterion: set() for criterion in Criterion}
        self._runs: list[int] = []
        self._own = 0
        self.asked = 0

    def wrote(self, position: int, nll: float) -> None:
        """The target wrote the token at `position` itself."""
        self.known[position] = nll
        self._own += 1

    def judged(self, verdict: Verdict, run: int, asked: int) -> None:
        """One call came back: `run` tokens had been accepted since the last one, and `asked` were asked."""
        self._runs.append(run)
        self.asked += asked
        self.audited(verdict.audit, confirmed=verdict.stands)

    def audited(self, audit: Audit, confirmed: int = 0) -> None:
        """The target's opinion of tokens shown earlier; the last `confirmed` of them it has just confirmed.

        What it confirmed is its own choice, and no error even where it would hardly have made it.
        """
        for i, nll in enumerate(audit.nll):
            self.known[audit.position + i] = nll
        accepted = len(audit) - confirmed
        flags = {Criterion.STRICT: audit.off_strict[:accepted], Criterion.TYPICAL: audit.off_typical[:accepted]}
        for criterion, off in flags.items():
            self.off_target[criterion].update(audit.position + i for i, is_off in enumerate(off) if is_off)
        if self._budget is not None:
            self._budget.observe(sum(flags[self._criterion]), len(audit) + self._own)
            self._own = 0

    def summary(
        self, text: Text, drafter: Drafter, session: TargetSession | None, total_ms: float, first_ms: float
    ) -> Summary:
        """Everything counted, once the text is finished and its tail audited."""
        accepted = {text.prompt_length + i for i, origin in enumerate(text.origins) if origin is Origin.ACCEPTED}
        known = [position for position in self.known if position < text.shown]
        audited = accepted.intersection(known)
        off_strict = len(self.off_target[Criterion.STRICT] & audited)
        off_typical = len(self.off_target[Criterion.TYPICAL] & audited)
        counts = {origin: text.origins.count(origin) for origin in Origin}
        waited = session.wait_seconds if session else 0.0
        target = session.target_seconds if session else 0.0
        return Summary(
            tokens=len(text.origins),
            accepted=counts[Origin.ACCEPTED],
            confirmed=counts[Origin.CONFIRMED],
            target=counts[Origin.TARGET],
            asked=self.asked,
            calls=session.calls if session else 0,
            run_length=sum(self._runs) / len(self._runs) if self._runs else None,
            audited=len(audited),
            off_strict=off_strict,
            off_typical=off_typical,
            divergence_strict=off_strict / len(known) if known else None,
            divergence_typical=off_typical / len(known) if known else None,
            target_nll=sum(self.known[position] for position in known) / len(known) if known else None,
            bytes_up=session.bytes_up if session else 0,
            bytes_down=session.bytes_down if session else 0,
            bytes_prompt=session.bytes_prompt if session else 0,
            reconnects=session.reconnects if session else 0,
            total_ms=total_ms,
            first_token_ms=first_ms,
            draft_ms=drafter.draft_ns / 1e6,
            verifier_ms=drafter.verifier_ns / 1e6,
            network_ms=1e3 * max(0.0, waited - target),
            target_ms=1e3 * target,
            threshold=self._budget.threshold if self._budget else None,
        )
