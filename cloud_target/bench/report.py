"""What a load test found, for people and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cloud_target.bench.draft import CLUSTERING, STANDS
from cloud_target.bench.load import Result
from cloud_target.bench.plan import Plan
from cloud_target.bench.tally import Spread

# Kinds of calls, and what each is.
KINDS = {
    "prompt": "first call of a text, its prompt read",
    "sprint": "one token asked about, a run audited",
    "exact": "a window of guesses judged",
    "token": "one token to the next, written on",
    "tail": "the tail of a text audited",
}
# Above this share of a core the generator, which is one thread, may be what is measured.
BUSY = 0.8


def figures(plan: Plan, result: Result, batch: float | None) -> dict[str, Any]:
    """Everything as values for JSON.

    Args:
        batch: feeds a pass on average; None if the target's metrics are out of reach.
    """
    tally, seconds, who = result.tally, max(result.seconds, 1e-9), result.who
    return {
        "target": {"name": who.name, "fingerprint": who.fingerprint, "dtype": who.dtype, "context": who.context},
        "plan": asdict(plan) | {"agreement_model": f"Markov chain, clustering {CLUSTERING}, asked that stand {STANDS}"},
        "seconds": result.seconds,
        "interrupted": result.interrupted,
        "calls": tally.calls,
        "calls_per_second": tally.calls / seconds,
        "judged_tokens_per_second": tally.judged / seconds,
        "written_tokens_per_second": tally.written / seconds,
        "texts": tally.texts,
        "abandoned": tally.abandoned,
        "resyncs": tally.resyncs,
        "differing_tokens": tally.differing,
        "latency_seconds": {kind: _spread(tally.answers.get(kind)) for kind in KINDS},
        "target_queue_seconds": _spread(tally.queue),
        "target_forward_seconds": _spread(tally.forward),
        "feeds_per_pass": batch,
        "errors": dict(tally.errors.most_common()),
        "refused": result.refused,
        "generator_cpu_share": result.cpu / seconds,
        "generator_cpu_us_per_answer": 1e6 * result.cpu / max(len(tally.queue), 1),
    }


def _spread(times: Any) -> dict[str, float] | None:
    spread = Spread.of(times) if times is not None else None
    return asdict(spread) if spread else None


def words(plan: Plan, found: dict[str, Any]) -> str:
    """The figures as lines for a terminal."""
    target = found["target"]
    lines = [
        f"{plan.sessions} sessions, {plan.mix}, on {target['name']} ({target['dtype']}) for {found['seconds']:.1f} s"
        + (", interrupted" if found["interrupted"] else ""),
        f"{found['calls']} calls, {found['calls_per_second']:.0f} calls/s, "
        f"{found['judged_tokens_per_second']:.0f} judged tokens/s, {found['written_tokens_per_second']:.0f} written "
        f"tokens/s; {found['texts']} texts, {found['abandoned']} of them abandoned, {found['resyncs']} resyncs",
        "",
        f"{'ms':16}{'count':>8}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}",
    ]
    rows = found["latency_seconds"] | {
        "target: queue": found["target_queue_seconds"],
        "target: pass": found["target_forward_seconds"],
    }
    for name, spread in rows.items():
        if spread:
            times = "".join(f"{1e3 * spread[key]:9.1f}" for key in ("p50", "p90", "p99", "longest"))
            lines.append(f"{name:16}{spread['count']:8}{times}   {KINDS.get(name, '')}".rstrip())
    lines.append("")
    if found["feeds_per_pass"] is not None:
        lines.append(f"batch size: {found['feeds_per_pass']:.2f} feeds a pass on average")
    errors = ", ".join(f"{name} {count}" for name, count in found["errors"].items())
    lines.append(f"errors: {errors or 'none'}")
    lines.append(f"tokens that differ from what the target wrote alone: {found['differing_tokens']}")
    lines.append(
        f"agreement: modelled (a Markov chain: {plan.agreement:.0%} easy tokens, a hard one {CLUSTERING} times as "
        f"likely after a hard one, {STANDS:.0%} of asked tokens stand) on texts that the target wrote before"
    )
    lines.append(
        f"generator: {found['generator_cpu_us_per_answer']:.0f} us of CPU an answer, "
        f"{found['generator_cpu_share']:.0%} of one core"
        + (": it may be what was measured, use fewer --sessions" if found["generator_cpu_share"] > BUSY else "")
    )
    if found["refused"]:
        lines.append(f"refused: {found['refused']}")
    return "\n".join(lines)
