"""The figures of one text, once it is written or given up."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge_client.usage.audit_counts import AuditCounts
from edge_client.usage.meter import Meter
from shared.config import Criterion


@dataclass(frozen=True)
class Times:
    """Wall time until the last token was shown, and its parts, milliseconds; the tail audit is not in it.

    `first_token_ms` went by until the first settled token, whatever was provisional before it. `waited_ms` went by with
    nothing to do but to wait for the target; of it `held_ms` while it had no room, because it was busy or a limit was
    reached, and at least `network_ms` on the link. `target_ms` is what the target took, partly while the device drafted
    on.
    """

    total_ms: float
    first_token_ms: float
    draft_ms: float
    verifier_ms: float
    waited_ms: float
    network_ms: float
    target_ms: float
    held_ms: float

    @classmethod
    def of(cls, total_ms: float, first_token_ms: float, draft_ns: int, verifier_ns: int, meter: Meter) -> Times:
        """The times of a text whose last token has just been shown."""
        waited, target, held = meter.wait_seconds, meter.target_seconds, meter.held_seconds
        network = max(0.0, waited - target - held)
        seconds = waited, network, target, held
        return cls(total_ms, first_token_ms, draft_ns / 1e6, verifier_ns / 1e6, *(1e3 * each for each in seconds))


@dataclass(frozen=True)
class Summary:
    """The figures of one text; rates are None where nothing was measured.

    Attributes:
        audit: what the audits have counted.
        times: where the time went.
        accepted, confirmed, target, alone: tokens shown, by origin.
        audited: of the accepted tokens, those that the target has seen.
        run_length: mean number of tokens accepted between two calls.
        calls: to the target, the tail audit's included.
        bytes_up, bytes_down: payload (serialised messages) without the prompt's tokens.
        bytes_prompt: payload of the prompt's tokens.
        drafted: tokens that the draft proposed, those in vain too.
        reused_draft, reused_target: tokens of the prompt that draft and target had read already, for an earlier text.
        reconnects: outages of the link, or of room at the target, after which it went on on a new stream.
        threshold: of the verifier's doubt at the end; None where it was not used.
        doubted: in `local`, tokens that `sprint` would have begun by asking about.
        round_trip_ms: the least that a question and its answer were on the way: about the link's round trip.
        repeated: tokens shown that go on with a repetition, see `shared/repetition.py`.
    """

    audit: AuditCounts
    times: Times
    accepted: int
    confirmed: int
    target: int
    audited: int
    run_length: float | None
    calls: int
    bytes_up: int
    bytes_down: int
    bytes_prompt: int
    reconnects: int
    drafted: int = 0
    reused_draft: int = 0
    reused_target: int = 0
    threshold: float | None = None
    doubted: int | None = None
    repeated: int = 0
    alone: int = 0
    round_trip_ms: float | None = None

    @property
    def tokens(self) -> int:
        """Tokens shown, prompt not counted."""
        return self.audit.shown

    @property
    def tokens_per_second(self) -> float:
        return 1000 * self.tokens / self.times.total_ms if self.times.total_ms else 0.0

    @property
    def bytes_per_token(self) -> float:
        """Payload of both ways, without the prompt's tokens."""
        return (self.bytes_up + self.bytes_down) / max(self.tokens, 1)

    def as_dict(self) -> dict[str, Any]:
        """All figures in one flat dictionary, for programs."""
        own = asdict(self)
        audit, times = own.pop("audit"), own.pop("times")
        audit["tokens"] = audit.pop("shown")
        del audit["nll"]
        rates = {
            "divergence_strict": self.audit.rate(Criterion.STRICT),
            "divergence_typical": self.audit.rate(Criterion.TYPICAL),
            "unlikely_share": self.audit.unlikely_share,
            "target_nll": self.audit.mean_nll,
            "tokens_per_second": round(self.tokens_per_second, 2),
        }
        figures: dict[str, Any] = times | audit | own | rates
        return figures
