"""The report as one page of HTML: what the bundle promises, how that was measured, and with what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from cloud_target.prepare.charts import Pens, reliability_chart, renamed, roc_chart, runs_chart, trade_chart
from cloud_target.prepare.measure import HEAD, find
from cloud_target.prepare.style import STYLE
from cloud_target.prepare.tables import (
    agreement_table,
    budget_table,
    choice_table,
    comparison_table,
    provenance,
    steered_table,
)
from cloud_target.prepare.words import chosen, first, headline, lasting, measured, promise, rounding
from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion, Sampling

_WORDS = """\
<p>A small draft writes the text on the device. The verifier says how much each of its tokens is to be doubted, and the
target, elsewhere, is asked only about those whose doubt is above a threshold. The <b>budget</b> is the share of tokens
shown that may be off-target. By the <b>strict</b> criterion a token is off-target if it is not the very token that
the target would have written with the same noise; by the <b>typical</b> one, if besides it is a word that the
target would hardly have written there, or goes on with a repetition.</p>"""

_AUDITS = """\
<p>With every answer the target also judges the tokens shown since the last one. These <b>audits</b> steer the device:
where its doubts turn out too large they loosen the threshold, where too many tokens are off-target they tighten it, and
an account of both keeps the budget, also where the text is of another kind. A threshold that was fixed beforehand may
ask about fewer, but keeps the budget only on text like that which it was chosen on.</p>"""

_STEERED = """\
<p class="note">First a device that has learned from its audits (after its first 1,000 tokens, if there are more). New:
devices that have not, in their first 1,000 tokens each. Both are steered by the code that devices run. Unaudited: a
threshold that never moves, certified on other documents. A budget that the first one overspends is marked. An answer
brings a token of the target's own, the next one where the asked one stood: so if all stand, to doubt everything is to
ask about half. All on the target's own text, with the verifier as it is shipped.</p>"""

_TABLES = """\
<p class="note">First the rates on the documents that the threshold was chosen on; "at most" is the upper bound that
the threshold had to keep within the budget. Checked: on the report's documents, on which nothing was chosen; a
divergence above the budget is marked. A threshold of 0 asks about every token: nothing less keeps the budget, or there
were too few documents to say so.</p>"""

_CHARTS = """\
<p class="note">All on the report's documents, the target's own text. <b>ROC</b>: the higher, the more errors are caught
for the same needless asks. <b>Ask rate against divergence</b>: the lower, the better; lines ask about every token
above a threshold, the oracle about errors only; dots are devices that keep the budgets of the table, rings its
thresholds without audits, and to both an answer brings a token of the target's own. <b>Reliability</b>: tokens in
groups of like doubt, with 90 % intervals; on the dashed line a doubt of 5 % means an error in 20. Both axes are square
roots, which stretch what is near zero, where most doubts are. <b>Run length</b>: tokens accepted before each ask
without audits, at each budget of the table; runs that the end of a text cuts short are left out.</p>"""


_CHOSEN = """\
<p class="note">For each criterion the bundle ships the doubt that asks least there; where several ask about as few, the
trained head. What was chosen stands out. It is <b>our head</b> in all else on this page.</p>"""

_COMPARED = """\
<p class="note">Each doubt with the threshold that is best for it on these very tokens, which is the fairest comparison.
Best free: of the doubts that need no training, the one that asks least in that row, chosen with hindsight. Budgets
that are kept without asking are left out.</p>"""


def page(report: dict[str, Any]) -> str:
    """The page of a report (see `pipeline.prepare`), complete in itself: no script, nothing from elsewhere."""
    title = escape(f"{report['name']}, for {report['pair']['target']}")
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="headline">{_unbroken(headline(report))}</p>',
        *(f"<p><b>This is {escape(said)}; the finished one replaces it.</b></p>" for said in [first(report)] if said),
        f"<p>{_unbroken(promise(report))}</p>",
        f'<p class="note">{_unbroken(measured(report))}</p>',
        "<h2>What a budget costs</h2>",
        _WORDS,
        _AUDITS,
        *_tables(report),
        "<h2>Whom to ask</h2>",
        *_choice(report),
        *_charts(report),
        *_comparisons(report),
        "<h2>How well draft and target agree</h2>",
        agreement_table(report),
        *(f"<p>{_unbroken(sentence)}</p>" for sentence in filter(None, [rounding(report)])),
        "<h2>How this was made</h2>",
        provenance(report),
    ]
    body = "\n".join(parts)
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _unbroken(sentence: str) -> str:
    """A sentence whose figures keep their units on their line."""
    return escape(sentence).replace(" %", "\N{NO-BREAK SPACE}%")


def _tables(report: dict[str, Any]) -> Iterator[str]:
    yield _STEERED
    for sampling in _samplings(report):
        yield _unfolding(sampling, _pair(report, sampling, steered_table))
    yield "<h3>The thresholds that keep a budget without audits</h3>"
    yield _TABLES
    for sampling in _samplings(report):
        yield f"<details><summary>{_words(sampling)}</summary>{_pair(report, sampling, budget_table)}</details>"


def _pair(report: dict[str, Any], sampling: Sampling, table: Callable[..., str]) -> str:
    """A table for each criterion, side by side where there is room."""
    tables = "".join(f"<div>{table(report, sampling, criterion)}</div>" for criterion in DOUBT_COLUMNS)
    return f'<div class="pair">{tables}</div>'


def _choice(report: dict[str, Any]) -> Iterator[str]:
    yield f"<p>{_unbroken(' '.join(map(chosen, report['chosen'])))}</p>"
    yield f"<details><summary>how that was chosen</summary>{_CHOSEN}{choice_table(report)}</details>"


def _charts(report: dict[str, Any]) -> Iterator[str]:
    pens = Pens(list(report["curves"][0]["trade"]), report["free doubts"])
    yield _legend(pens)
    yield _CHARTS
    for sampling in _samplings(report):
        yield _unfolding(sampling, "".join(_row(report, sampling, criterion, pens) for criterion in DOUBT_COLUMNS))


def _comparisons(report: dict[str, Any]) -> Iterator[str]:
    yield "<h3>Share of tokens to ask at equal divergence</h3>"
    yield _COMPARED
    for key, title in (("doubts on documents", "documents, as they stand"), ("doubts", "the target's own text")):
        table = comparison_table(report, report[key], f"On {title}.")
        yield f"<details><summary>{title}</summary>{table}</details>"


def _row(report: dict[str, Any], sampling: Sampling, criterion: Criterion, pens: Pens) -> str:
    """The four charts of one criterion."""
    curve = find(report["curves"], sampling, criterion)
    rates = find(report["steered"], sampling, criterion)["rates"]
    steered, alone = [lasting(rate) for rate in rates], [rate["unaudited"] for rate in rates]
    area = curve["roc"][HEAD]["auc"]
    charts = (
        roc_chart(curve, pens),
        trade_chart(curve, pens, steered, alone),
        reliability_chart(curve),
        runs_chart(curve),
    )
    captions = (
        f"ROC; area under our head's curve {area:.3f}" if charts[0] else "ROC: there is nothing to tell apart",
        "Ask rate against divergence" + ("" if charts[1] else ": nothing diverges"),
        "Reliability of our head's doubt",
        "Run length" + ("" if charts[3] else ": nothing, or everything, is asked"),
    )
    place = f"{criterion}-{sampling.temperature:g}-{sampling.top_p:g}"
    drawn = "".join(
        f"<figure>{renamed(chart or '', f'{place}-{number}')}<figcaption>{escape(caption)}</figcaption></figure>"
        for number, (chart, caption) in enumerate(zip(charts, captions, strict=True))
    )
    return f'<h3>{criterion}</h3><div class="charts">{drawn}</div>'


def _samplings(report: dict[str, Any]) -> list[Sampling]:
    """Each way of sampling that was calibrated, the default one first."""
    found = [Sampling(temperature=entry["temperature"], top_p=entry["top_p"]) for entry in report["doubts"]]
    return sorted(found, key=lambda sampling: sampling != Sampling())


def _unfolding(sampling: Sampling, content: str) -> str:
    """What belongs to one way of sampling; only the default one lies open."""
    is_default = sampling == Sampling()
    opened, words = (' open="open"', " (the default)") if is_default else ("", "")
    return f"<details{opened}><summary>{_words(sampling)}{words}</summary>{content}</details>"


def _words(sampling: Sampling) -> str:
    return f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}"


def _legend(pens: Pens) -> str:
    items = []
    for name in pens.names:
        colour, dashes, width = pens.on_page(name)
        pen = f'stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"'
        line = f'<svg viewBox="0 0 32 8" aria-hidden="true"><line x1="1" y1="4" x2="31" y2="4" {pen}/></svg>'
        items.append(f"<li>{line}{escape(name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'
