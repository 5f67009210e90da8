"""What is reported of a system over a link: medians and means over its texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.report.device import Text
from benchmarks.report.paced import Work
from edge_client.usage.audit_counts import AuditCounts
from shared.config import Criterion

_MEGABYTE = 1e6


@dataclass(frozen=True)
class Sample:
    """One text, and what it took of the cloud.

    Attributes:
        prompt: its number; samples of one number are texts after the same prompt with the same seed.
        text: what was written.
        work: of the target, and of what stands beside it.
    """

    prompt: int
    text: Text
    work: Work


@dataclass(frozen=True)
class Place:
    """Where texts are written: over a link, to a target.

    Attributes:
        link: its name.
        round_trip_ms: of it.
        step_ms: simulated step of the target, the least time of its passes; 0 for the target as it is.
    """

    link: str
    round_trip_ms: float
    step_ms: float


@dataclass(frozen=True)
class Peaks:
    """The most memory that processes have held at once, megabytes; None where the system does not tell."""

    edge: float | None
    cloud: float | None

    @classmethod
    def of(cls, edge: int | None, cloud: Sequence[int | None]) -> Peaks:
        """From bytes, of the device and of each process in the cloud."""
        known = [size for size in cloud if size is not None]
        return cls(
            None if edge is None else edge / _MEGABYTE, sum(known) / _MEGABYTE if len(known) == len(cloud) else None
        )


@dataclass(frozen=True)
class Figures:
    """One system in one place. Times are in milliseconds; what is a token's is a mean over all tokens.

    Attributes:
        link, round_trip_ms, step_ms: the place.
        system, is_ours, chosen: which, and what was chosen for it there.
        texts, tokens: written.
        speed_up: over `cloud` in the same place, median over the prompts of ratios of time a token.
        ms_a_token, first_ms: medians over the prompts.
        same_text: share of the texts that are those of `cloud`, token for token.
        asked, typical, strict: tokens that the target was asked about, and off-target ones, a token.
        draft_ms, verifier_ms, rest_ms, network_ms, target_ms: a token's time by part; the last two are waited for.
        passes, busy_ms: forward passes of the target and the time they took, a token.
        bytes_up, bytes_down: payload a token, the prompt's not counted.
        wasted: drafted tokens that were not shown, a token.
        edge_cpu_ms, cloud_cpu_ms: CPU time a token; None where the system does not tell.
        edge_peak_mb, cloud_peak_mb: see `Peaks`, of the processes' whole lives.
    """

    link: str
    round_trip_ms: float
    step_ms: float
    system: str
    is_ours: bool
    chosen: str
    texts: int
    tokens: int
    speed_up: float
    ms_a_token: float
    first_ms: float
    same_text: float
    asked: float
    typical: float
    strict: float
    draft_ms: float
    verifier_ms: float
    rest_ms: float
    network_ms: float
    target_ms: float
    passes: float
    busy_ms: float
    bytes_up: float
    bytes_down: float
    wasted: float
    edge_cpu_ms: float | None
    cloud_cpu_ms: float | None
    edge_peak_mb: float | None
    cloud_peak_mb: float | None


def figures_of(
    place: Place,
    system: str,
    is_ours: bool,
    chosen: str,
    samples: Sequence[Sample],
    cloud: Sequence[Sample],
    peaks: Peaks,
) -> Figures:
    """Sum up the texts of one system in one place; `cloud` has those of the plain stream there."""
    texts = [sample.text for sample in samples]
    plain = {sample.prompt: sample.text for sample in cloud}
    tokens = max(sum(len(text.ids) for text in texts), 1)
    counts = sum((text.counts for text in texts), AuditCounts())
    work = sum((sample.work for sample in samples), Work())
    times = [text.summary.times for text in texts]
    # What the edge has not seen of a text's time was spent on the link behind it.
    behind = sum(text.total_ms - text.summary.times.total_ms for text in texts)
    total, draft, verifier, network, target, held = (
        sum(getattr(time, f"{part}_ms") for time in times)
        for part in ("total", "draft", "verifier", "network", "target", "held")
    )
    # The target computes while the device does; only what is left of a text's time can have been waited for.
    target = min(target, max(total - draft - verifier - network - held, 0.0))
    drafted = sum(text.summary.drafted for text in texts)
    used = sum(text.summary.accepted + text.summary.confirmed for text in texts)
    return Figures(
        place.link,
        place.round_trip_ms,
        place.step_ms,
        system,
        is_ours,
        chosen,
        len(texts),
        tokens,
        median(_pace(plain[sample.prompt]) / _pace(sample.text) for sample in samples),
        median(map(_pace, texts)),
        median(text.first_ms for text in texts),
        sum(sample.text.ids == plain[sample.prompt].ids for sample in samples) / len(samples),
        counts.asked / tokens,
        counts.rate(Criterion.TYPICAL) or 0.0,
        counts.rate(Criterion.STRICT) or 0.0,
        draft / tokens,
        verifier / tokens,
        max(total - draft - verifier - network - target - held, 0.0) / tokens,
        (network + behind) / tokens,
        target / tokens,
        work.passes / tokens,
        1e3 * work.seconds / tokens,
        sum(text.summary.bytes_up for text in texts) / tokens,
        sum(text.summary.bytes_down for text in texts) / tokens,
        (drafted - used) / tokens,
        1e3 * sum(text.cpu_seconds for text in texts) / tokens,
        None if work.cpu_seconds is None else 1e3 * work.cpu_seconds / tokens,
        peaks.edge,
        peaks.cloud,
    )


def _pace(text: Text) -> float:
    """Milliseconds a token."""
    return max(text.total_ms, 1e-6) / max(len(text.ids), 1)
