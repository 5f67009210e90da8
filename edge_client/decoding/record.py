"""What happened in one generation: counts, audits and times, gathered at calls and summed up at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge_client.decoding.text import Origin, Text
from edge_client.promise.budget import Budget
from shared.config import Criterion

if TYPE_CHECKING:
    from edge_client.decoding.drafter import Drafter
    from edge_client.promise.learning import Learner
    from edge_client.target.client import Audit, TargetSession, Verdict


@dataclass(frozen=True)
class Times:
    """Wall time until the last token was shown, and its parts, milliseconds; the tail audit is not in it.

    `held_ms` went by while the target had no room, because it was busy or a limit was reached.
    """

    total_ms: float
    first_token_ms: float
    draft_ms: float
    verifier_ms: float
    network_ms: float
    target_ms: float
    held_ms: float

    @classmethod
    def of(cls, total_ms: float, first_token_ms: float, drafter: Drafter, session: TargetSession | None) -> Times:
        """The times of a text that has just been finished."""
        waited = target = held = 0.0
        if session:
            waited, target, held = session.wait_seconds, session.target_seconds, session.held_seconds
        return cls(
            total_ms,
            first_token_ms,
            drafter.draft_ns / 1e6,
            drafter.verifier_ns / 1e6,
            1e3 * max(0.0, waited - target - held),
            1e3 * target,
            1e3 * held,
        )


@dataclass(frozen=True)
class Summary(Times):
    """The figures of one run; rates are None where nothing was measured.

    Attributes:
        tokens: shown, prompt not counted.
        accepted, confirmed, target: of them, by origin.
        asked: tokens the target was asked about.
        calls: to the target, the tail audit's included.
        run_length: mean number of tokens accepted between two calls.
        known: tokens shown that the target has seen; the rates below rest on them.
        audited: of them, those accepted on the device.
        off_strict, off_typical: of them, off-target by each criterion.
        divergence_strict, divergence_typical: off-target accepted tokens per token shown whose audit is known.
        target_nll: mean negative log-likelihood under the target at temperature 1, nats a token.
        bytes_up, bytes_down: payload (serialised messages) without the prompt's tokens.
        bytes_prompt: payload of the prompt's tokens.
        doubted: in `local`, tokens that `sprint` would have begun by asking about.
        threshold: of the verifier's doubt at the end; None where it was not used.
    """

    tokens: int
    accepted: int
    confirmed: int
    target: int
    asked: int
    calls: int
    run_length: float | None
    known: int
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
    threshold: float | None
    doubted: int | None

    @property
    def tokens_per_second(self) -> float:
        return 1000 * self.tokens / self.total_ms if self.total_ms else 0.0

    def divergence(self, criterion: Criterion) -> float | None:
        """The divergence rate by one criterion."""
        return self.divergence_strict if criterion is Criterion.STRICT else self.divergence_typical

    def as_dict(self) -> dict:
        return asdict(self) | {"tokens_per_second": round(self.tokens_per_second, 2)}


class Record:
    """Gathers what the target said, by position, and teaches the budget and the learner.

    Attributes:
        known: negative log-likelihood under the target, nats, of each position that it has seen.
        off_target: the accepted positions that are errors, by criterion.
    """

    def __init__(self, criterion: Criterion, budget: Budget | None = None, learner: Learner | None = None) -> None:
        self._criterion = criterion
        self._budget = budget
        self._learner = learner
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
        fallen = verdict.audit.position + len(verdict.audit)
        # Of a token that fell only this much is known: it is not the target's own.
        if self._learner is not None and verdict.stands < asked and self._criterion is Criterion.STRICT:
            self._learner.audited(fallen, True)

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
        if self._learner is not None:
            # By `typical` nothing is known of a token that fell, so of the asked ones only harmless ones would be seen:
            # it learns from accepted tokens alone.
            labels = audit.off_strict if self._criterion is Criterion.STRICT else flags[Criterion.TYPICAL]
            for i, is_off in enumerate(labels):
                self._learner.audited(audit.position + i, is_off)
        if self._budget is not None:
            self._budget.observe(sum(flags[self._criterion]), len(audit) + self._own)
            self._own = 0

    def finish(self) -> None:
        """The text is over: what the target wrote since the last audit counts, too."""
        if self._budget is not None and self._own:
            self._budget.observe(0, self._own)
            self._own = 0

    def summary(self, text: Text, times: Times, session: TargetSession | None, doubted: int | None = None) -> Summary:
        """Everything counted, once the text is finished and its tail audited."""
        accepted = {text.prompt_length + i for i, origin in enumerate(text.origins) if origin is Origin.ACCEPTED}
        known = [position for position in self.known if position < text.shown]
        audited = accepted.intersection(known)
        off_strict = len(self.off_target[Criterion.STRICT] & audited)
        off_typical = len(self.off_target[Criterion.TYPICAL] & audited)
        counts = {origin: text.origins.count(origin) for origin in Origin}
        return Summary(
            tokens=len(text.origins),
            accepted=counts[Origin.ACCEPTED],
            confirmed=counts[Origin.CONFIRMED],
            target=counts[Origin.TARGET],
            asked=self.asked,
            calls=session.calls if session else 0,
            run_length=sum(self._runs) / len(self._runs) if self._runs else None,
            known=len(known),
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
            threshold=max(self._budget.threshold, 0.0) if self._budget else None,
            doubted=doubted,
            **asdict(times),
        )
