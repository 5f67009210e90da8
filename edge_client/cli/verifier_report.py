"""What a bundle promises, and what audits have shown of it on this device: `edge-client verifier report`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from edge_client.promise.memory import Memory
from edge_client.promise.promises import Promise
from shared.config import Coupling
from shared.manifest import Manifest
from shared.rounding import REPEATABLE, by_rounding


def as_dict(manifest: Manifest, memory: Memory) -> dict[str, Any]:
    """The report for programs."""
    return {
        "bundle": manifest.name,
        "target": {"name": manifest.target_name, "fingerprint": manifest.target_fingerprint},
        "dtype": manifest.target_dtype,
        "disagreement": [asdict(way) for way in manifest.disagreement],
        "calibration": [asdict(cell) for cell in manifest.calibration],
        "domains": {domain.name: [asdict(cell) for cell in domain.calibration] for domain in manifest.domains},
        "memory": str(memory.path),
        "audits": [entry.as_json() | {"divergence": entry.divergence} for entry in memory.entries.values()],
    }


def as_text(manifest: Manifest, memory: Memory) -> str:
    """The report for people."""
    parts = [*_audits(manifest, memory), *_promise(manifest)]
    for domain in manifest.domains:
        parts += [f"Its verifier for the domain {domain.name}:", *_promise(manifest.seen_by(domain.name))]
    return "\n\n".join(parts)


def _promise(manifest: Manifest) -> Iterable[str]:
    made_for = f"The bundle {manifest.name} was made for {manifest.target_name} ({manifest.target_fingerprint[:8]})."
    if not manifest.calibration:
        yield (
            f"{made_for} Its verifier was never calibrated: this device begins cautiously, and asks more until its "
            "audits show that less will do. `cloud-target prepare` makes a calibrated bundle."
        )
        return
    documents = min(cell.documents for cell in manifest.calibration)
    confidence = max(cell.confidence for cell in manifest.calibration)
    yield (
        f"{made_for} The table says what a threshold that never moves would do; on this device audits move it, and the "
        f"table steers nothing. It was measured on {documents} or more held-out texts. The share of off-target tokens "
        "in a new text of the same kind is expected to be no more than the upper bound; with about "
        f"{confidence:.0%} confidence, the share in many such texts together is no more than that either."
    )
    rows = [
        (
            str(cell.criterion),
            f"{cell.temperature:g}",
            f"{cell.top_p:g}",
            _budget(cell.budget),
            f"{cell.threshold:.4f}",
            _percent(cell.divergence, 2),
            _percent(cell.upper, 2),
            _percent(cell.ask_rate),
        )
        for cell in manifest.calibration
    ]
    yield _table(
        ("criterion", "temperature", "top-p", "budget", "threshold", "off-target", "upper bound", "asked"), rows
    )
    if manifest.disagreement:
        yield (
            f"In {manifest.target_dtype} the target disagrees with itself, by rounding alone, "
            f"{by_rounding(manifest.disagreement)}. A budget below that cannot be told from it; in {REPEATABLE} there "
            "is no such noise."
        )
    if not manifest.doubts:
        yield (
            "The bundle does not say what its verifier's doubts are like in calibrated text, from which a device "
            "begins: this one begins cautiously, and asks more until its audits show that less will do. `cloud-target "
            "prepare` writes it."
        )


def _audits(manifest: Manifest, memory: Memory) -> Iterable[str]:
    if not memory.entries:
        yield "Nothing has been audited on this device yet."
        return
    yield f"What audits have shown on this device ({memory.path}):"
    rows = [
        (
            _about(entry.promise),
            _budget(entry.promise.budget),
            _percent(entry.divergence, 2),
            _percent(entry.counts.unlikely_share),
            f"{entry.counts.known}",
            _percent(entry.counts.ask_rate),
            f"{entry.texts}",
            entry.promise.target[:8]
            + ("" if entry.promise.target == manifest.target_fingerprint else " (another target)"),
        )
        for entry in memory.entries.values()
    ]
    head = ("criterion", "budget", "off-target", "unlikely", "audited", "asked", "texts", "target")
    yield _table(head, rows)
    for entry in memory.entries.values():
        if entry.correction:
            learned = entry.correction
            yield (
                f"The verifier learned from {learned.tokens} audited tokens for the budget of "
                f"{_budget(entry.promise.budget)} {entry.promise.criterion}; "
                + (
                    "what it learned is in use."
                    if learned.in_use
                    else "what it learned is not in use, for it is no better."
                )
                + (
                    f" What it learned was clearly worse, and forgotten, {_times(learned.reverted)}."
                    if learned.reverted
                    else ""
                )
            )
        if entry.losses:
            behind = ", ".join(f"{name} by {nats:.1f}" for name, nats in entry.losses.items() if nats)
            best = min(entry.losses, key=lambda name: entry.losses[name])
            yield (
                f"For the budget of {_budget(entry.promise.budget)} {entry.promise.criterion} texts begin with the "
                f"verifier {best}: by the audits of earlier ones the others are behind it, in nats: {behind or 'none'}."
            )
        if entry.is_overdrawn:
            yield (
                f"The budget of {_budget(entry.promise.budget)} {entry.promise.criterion} is overdrawn by "
                f"{entry.steering.account.debt:.0f} off-target tokens: every token is asked until the next ones "
                "have made good for them."
            )


def _about(promise: Promise) -> str:
    """What errors are to a promise, and how else it differs from the others of its budget."""
    apart = {"residual": promise.coupling is Coupling.RESIDUAL, "learning": promise.learns}
    apart["under a schema"] = promise.constrained
    apart["which counts by strict itself"] = promise.strict_structure
    return ", ".join([str(promise.criterion), *(word for word, is_so in apart.items() if is_so)])


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _budget(share: float) -> str:
    return f"{100 * share:g} %"


def _percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
    )
