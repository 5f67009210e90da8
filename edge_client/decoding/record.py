"""What happened in one generation, counted by position at every call, and summed up at the end."""

from __future__ import annotations

from collections.abc import Container

from edge_client.decoding.text import Origin, Text
from edge_client.target.verdict import Audit, Own, Verdict
from edge_client.usage.audit_counts import AuditCounts
from edge_client.usage.meter import Meter
from edge_client.usage.summary import Summary, Times
from shared.config import Criterion
from shared.repetition import repeated


class Record:
    """Gathers what the target said. It only counts: what follows from it is `edge_client/promise/feedback.py`.

    Attributes:
        known: negative log-likelihood under the target, nats, of each position that it has seen.
        unlikely: of them, those of words that it would hardly have written, whoever wrote them.
        off_target: the accepted positions that are errors, by criterion.
        asked: tokens that the target was asked about.

    Args:
        strictly: positions at which a token that is not the target's own is an error by `typical`, too.
    """

    def __init__(self, strictly: Container[int] = ()) -> None:
        self.known: dict[int, float] = {}
        self.unlikely: set[int] = set()
        self.off_target: dict[Criterion, set[int]] = {criterion: set() for criterion in Criterion}
        self.asked = 0
        self._strictly = strictly
        self._runs: list[int] = []

    def wrote(self, position: int, own: Own) -> None:
        """The target wrote the token at `position` itself."""
        self._knows(position, own.nll, own.unlikely)

    def judged(self, verdict: Verdict, run: int, asked: int) -> None:
        """One call came back: `run` tokens had been accepted since the last one, and `asked` were asked."""
        self._runs.append(run)
        self.asked += asked
        self.audited(verdict.audit, confirmed=verdict.stands)

    def audited(self, audit: Audit, confirmed: int = 0) -> None:
        """The target's opinion of tokens shown earlier; the last `confirmed` of them it has just confirmed."""
        for position, (nll, unlikely) in enumerate(zip(audit.nll, audit.unlikely, strict=True), audit.position):
            self._knows(position, nll, unlikely)
        accepted = len(audit) - confirmed
        for criterion, positions in self.off_target.items():
            flags = audit.off(criterion, self._strictly)[:accepted]
            positions.update(position for position, is_off in enumerate(flags, audit.position) if is_off)

    def counts(self, text: Text, but: Origin | None = None) -> AuditCounts:
        """What is known of the tokens shown, without those of one origin."""
        placed = [place for place in enumerate(text.origins, text.prompt_length) if place[1] is not but]
        known = [position for position, _ in placed if position in self.known]
        drafted = {position for position, origin in placed if origin in (Origin.ACCEPTED, Origin.ALONE)}
        off = {criterion: len(positions & drafted) for criterion, positions in self.off_target.items()}
        return AuditCounts(
            shown=len(placed),
            known=len(known),
            asked=self.asked,
            off_typical=off[Criterion.TYPICAL],
            off_strict=off[Criterion.STRICT],
            unlikely=len(self.unlikely.intersection(known)),
            nll=sum(self.known[position] for position in known),
        )

    def summary(
        self,
        text: Text,
        times: Times,
        meter: Meter,
        drafted: int,
        reused_draft: int = 0,
        reused_target: int = 0,
        threshold: float | None = None,
        doubted: int | None = None,
    ) -> Summary:
        """Everything counted, once the text is finished and its tail audited."""
        origins = text.origins
        audited = sum(
            position in self.known
            for position, origin in enumerate(origins, text.prompt_length)
            if origin is Origin.ACCEPTED
        )
        return Summary(
            self.counts(text),
            times,
            accepted=origins.count(Origin.ACCEPTED),
            confirmed=origins.count(Origin.CONFIRMED),
            target=origins.count(Origin.TARGET),
            alone=origins.count(Origin.ALONE),
            audited=audited,
            run_length=sum(self._runs) / len(self._runs) if self._runs else None,
            calls=meter.calls,
            bytes_up=meter.bytes_up,
            bytes_down=meter.bytes_down,
            bytes_prompt=meter.bytes_prompt,
            reconnects=meter.reconnects,
            round_trip_ms=None if meter.quickest_trip is None else 1e3 * meter.quickest_trip,
            drafted=drafted,
            reused_draft=reused_draft,
            reused_target=reused_target,
            threshold=threshold,
            doubted=doubted,
            repeated=sum(repeated(text.sequence, text.prompt_length, text.shown)),
        )

    def _knows(self, position: int, nll: float, unlikely: bool) -> None:
        self.known[position] = nll
        (self.unlikely.add if unlikely else self.unlikely.discard)(position)
