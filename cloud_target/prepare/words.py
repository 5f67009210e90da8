"""The report in plain words: the sentence at its top, and the lines for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cloud_target.prepare.measure import HEAD, best_free, find
from shared.config import Criterion, Sampling
from shared.manifest import DOUBT_COLUMNS

BUDGET = 0.005  # what the edge keeps if nothing else is asked for


def percent(share: float) -> str:
    """ "4.2 %", with as many digits as say something."""
    value = 100 * share
    return (
        f"{value:.0f} %" if value >= 99.95 or value == 0 else f"{value:.1f} %" if abs(value) >= 1 else f"{value:.2f} %"
    )


def headline(report: dict[str, Any]) -> str:
    """What the bundle promises, in a sentence: the default budget, criterion and way of sampling."""
    rate = _rate(report)
    budget = f"At a budget of {100 * rate['budget']:g} % {Criterion.TYPICAL}"
    if rate["ask_rate"] == 0:
        return f"{budget} this pair needs no asking: the draft alone stays within it."
    if rate["ask_rate"] > 0.995:
        return f"{budget} this pair asks about every token: its verifier cannot promise that with less."
    return f"{budget} this pair asks about {_of_tokens(rate['ask_rate'])}."


def promise(report: dict[str, Any]) -> str:
    """What stands behind the headline: what was measured, on how much, beside not asking and beside free doubts."""
    sampling, rate = Sampling(), _rate(report)
    entry = find(report["doubts"], sampling)
    found = entry[str(Criterion.TYPICAL)]
    sentence = (
        f"Measured on {entry['tokens']:,} tokens that the target wrote after openings of documents which neither the "
        f"verifier nor its thresholds had seen, at temperature {sampling.temperature:g} and top-p {sampling.top_p:g}: "
        f"{percent(rate['divergence'])} of the tokens shown were off-target; without asking it would have been "
        f"{percent(found['never asking'])}."
    )
    if 0 < rate["ask_rate"] <= 0.995:
        trades = find(report["curves"], sampling, Criterion.TYPICAL)["trade"]
        asks = {name: _asks_for(trades[name], rate["divergence"]) for name in report["free doubts"]}
        name = min(asks, key=asks.__getitem__)
        sentence += (
            f" To leave no more of them, the best doubt that needs no training ({name}) would have to ask about "
            f"{_of_tokens(asks[name])}."
        )
    return sentence


def summary(report: dict[str, Any], out: Path) -> str:
    """Rows, loss, what is asked at some budgets in the default way of sampling, and where the report is."""
    sampling = Sampling()
    entry = find(report["doubts"], sampling)
    budgets = entry[str(DOUBT_COLUMNS[0])]["budgets"]
    lines = [
        headline(report),
        f"{report['rows']:,} rows, held-out loss {report['loss']:.4f} nats",
        f"share of tokens to ask for a divergence of at most (temperature {sampling.temperature:g}, top-p "
        f"{sampling.top_p:g}, {entry['tokens']:,} tokens of the report's documents):",
        " " * 42 + "".join(f"{budget:>8.0%}" for budget in budgets),
    ]
    for criterion in map(str, DOUBT_COLUMNS):
        asks = entry[criterion]["asks"]
        free, rates = best_free(asks, report["free doubts"])
        for name, values in ((f"{criterion}, the verifier", asks[HEAD]), (f"{criterion}, {free}", rates)):
            lines.append(f"  {name:<40}" + "".join(f"{value:>8.1%}" for value in values))
    return "\n".join([*lines, f"bundle: {out}", f"report: {out / 'report.html'}"])


def _rate(report: dict[str, Any]) -> dict[str, float]:
    """The check of the default budget, or of the one nearest to it."""
    rates = find(report["checks"], Sampling(), Criterion.TYPICAL)["rates"]
    return min(rates, key=lambda rate: abs(rate["budget"] - BUDGET))


def _asks_for(trade: dict[str, list[float]], divergence: float) -> float:
    """The ask rate at which a doubt leaves this divergence, between the points of its curve."""
    return float(np.interp(-divergence, [-value for value in trade["divergence"]], trade["ask"]))


def _of_tokens(share: float) -> str:
    """ "4 of 100 tokens", or of 1,000 where that says more."""
    return f"{100 * share:.0f} of 100 tokens" if share >= 0.02 else f"{1000 * share:.0f} of 1,000 tokens"
