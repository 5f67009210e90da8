"""The report in plain words: the sentence at its top, and the lines for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cloud_target.prepare.heads import TRAINED
from cloud_target.prepare.measure import HEAD, best_free, find
from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion, Sampling
from shared.rounding import REPEATABLE, Disagreement, by_rounding

BUDGET = 0.01  # what the edge keeps if nothing else is asked for
_NEARLY_ALL = 0.995


def percent(share: float) -> str:
    """ "4.2 %", with as many digits as say something."""
    value = 100 * share
    return (
        f"{value:.0f} %" if value >= 99.95 or value == 0 else f"{value:.1f} %" if abs(value) >= 1 else f"{value:.2f} %"
    )


def plain_percent(share: float) -> str:
    """The same without its unit."""
    return percent(share).removesuffix(" %")


def headline(report: dict[str, Any]) -> str:
    """What the bundle promises, in a sentence: the default budget, criterion and way of sampling, steered by audits."""
    promised = steered_rate(report)
    rates = lasting(promised)
    return (
        f"On text like this, a device that promises {100 * promised['budget']:g} % asks about "
        f"{_of_tokens(rates['ask_rate'])}, and {percent(rates['divergence'])} turn out off-target."
    )


def promise(report: dict[str, Any]) -> str:
    """What the headline is to be compared with: not asking at all, a new device, and no audits."""
    new, alone = steered_rate(report)["new"], steered_rate(report)["unaudited"]
    never = find(report["doubts"], Sampling())[str(Criterion.TYPICAL)]["never asking"]
    sentences = (
        f"If it never asked, {percent(never)} would be off-target.",
        f"A device that knows nothing yet asks about {_of_tokens(new['ask_rate'])} at first, and "
        f"{percent(new['divergence'])} turn out off-target.",
        "With every answer comes an audit of what was shown since the last one, and that loosens or tightens the "
        "threshold; one that never moves, and was chosen on other text like this, asks about "
        f"{_of_tokens(alone['ask_rate'])}, and {percent(alone['divergence'])} turn out off-target.",
    )
    return " ".join(sentences)


def measured(report: dict[str, Any]) -> str:
    """What the headline was measured on, and whether a free doubt would have done."""
    sampling, rates = Sampling(), lasting(steered_rate(report))
    entry = find(report["doubts"], sampling)
    sentences = [
        f"Measured on {entry['tokens']:,} tokens that the target wrote after openings of documents which neither the "
        f"verifier nor its thresholds had seen, at temperature {sampling.temperature:g} and top-p {sampling.top_p:g}, "
        "by the typical criterion.",
    ]
    if rates["ask_rate"] and rates["divergence"]:
        trades = find(report["curves"], sampling, Criterion.TYPICAL)["trade"]
        asks = {name: _asks_for(trades[name], rates["divergence"]) for name in (HEAD, *report["free doubts"])}
        ours = asks.pop(HEAD)
        name = min(asks, key=asks.__getitem__)
        sentences.append(
            f"To leave as many off-target with one threshold, chosen in hindsight, this verifier would ask about "
            f"{_of_tokens(ours)}, and the best doubt that needs no training ({name}) about {_of_tokens(asks[name])}."
        )
    return " ".join(sentences)


def chosen(choice: dict[str, Any]) -> str:
    """Which doubt the verifier is by one criterion (see `choice.Choice`), and by what figures."""
    asks = dict(choice["asks"])
    ours, rival = asks.pop(choice["name"]), TRAINED
    if choice["name"] == TRAINED:
        rival = min(asks, key=asks.__getitem__)
    return (
        f"By the {choice['criterion']} criterion the verifier doubts by {choice['name']}: of {choice['tokens']:,} "
        f"tokens that were held back from training, {percent(ours)} are asked in the mean over the budgets; by "
        f"{rival}, {percent(asks[rival])}."
    )


def first(report: dict[str, Any]) -> str:
    """Of how many rows a first bundle was made; "" of a finished one."""
    found = report.get("first")
    return f"a first bundle, of {found['rows']:,} of about {found['of about']:,} rows" if found else ""


def rounding(report: dict[str, Any]) -> str:
    """How often the target disagrees with itself; "" where it does not."""
    if not report["disagreement"]:
        return ""
    ways = [Disagreement(**way) for way in report["disagreement"]]
    return (
        f"In {report['pair']['target dtype']} the target disagrees with itself: where it reads a text token by token, "
        "and in parts of several, it draws other tokens with the same noise. Off-target by that alone are "
        f"{by_rounding(ways)}. A budget below that cannot be told from it, and asks about much for nothing; in "
        f"{REPEATABLE} there is no such noise."
    )


def summary(report: dict[str, Any], out: Path, page: str = "report") -> str:
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
    lines += filter(None, [rounding(report)])
    return "\n".join([*lines, f"bundle: {out}", f"report: {out / page}.html"])


def steered_rate(report: dict[str, Any]) -> dict[str, Any]:
    """How a device fares that keeps the default budget, or the one nearest to it."""
    rates = find(report["steered"], Sampling(), Criterion.TYPICAL)["rates"]
    return min(rates, key=lambda rate: abs(rate["budget"] - BUDGET))


def lasting(rate: dict[str, Any]) -> dict[str, float]:
    """The rates of a device that has learned, if there is enough text to tell, or else those of a new one."""
    return rate["later"] or rate["new"]


def _asks_for(trade: dict[str, list[float]], divergence: float) -> float:
    """The ask rate at which a doubt leaves this divergence, between the points of its curve."""
    return float(np.interp(-divergence, [-value for value in trade["divergence"]], trade["ask"]))


def _of_tokens(share: float) -> str:
    """ "4 of 100 tokens", or of 1,000 where that says more."""
    if share == 0:
        return "no token"
    if share > _NEARLY_ALL:
        return "every token"
    return f"{100 * share:.0f} of 100 tokens" if share >= 0.02 else f"{1000 * share:.0f} of 1,000 tokens"
