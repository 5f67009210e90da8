"""The report's tables, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from cloud_target.prepare.measure import HEAD, ORACLE, RANDOM, find
from cloud_target.prepare.words import lasting, percent, plain_percent
from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion, Sampling


def steered_table(report: dict[str, Any], sampling: Sampling, criterion: Criterion) -> str:
    """What a device asks and how far it strays at each budget, beside never asking and beside no audits."""
    never = find(report["doubts"], sampling)[criterion]["never asking"]
    steered = find(report["steered"], sampling, criterion)
    rows = [("never asking", *map(plain_percent, (0.0, never)), *[""] * 4)]
    marks = [False]
    for rate in steered["rates"]:
        pairs = lasting(rate), rate["new"], rate["unaudited"]
        figures = [plain_percent(pair[name]) for pair in pairs for name in ("ask_rate", "divergence")]
        rows.append((f"{100 * rate['budget']:g} %", *figures))
        marks.append(lasting(rate)["divergence"] > rate["budget"])
    caption = f"{criterion}: percent of {steered['tokens']:,} tokens."
    groups = (("", 1), ("a device", 2), ("a new one", 2), ("unaudited", 2))
    return html_table(("budget", *("asks", "off-target") * 3), rows, caption, marks, "steered", groups)


def budget_table(report: dict[str, Any], sampling: Sampling, criterion: Criterion) -> str:
    """From budget to the threshold that keeps it without audits; where it did not on other documents is marked."""
    key = {"criterion": criterion, "temperature": sampling.temperature, "top_p": sampling.top_p}
    cells = [cell for cell in report["calibration"] if all(cell[name] == value for name, value in key.items())]
    checked = find(report["checks"], sampling, criterion)
    head = ("budget", "threshold", "diverges", "at most", "asks", "checked: diverges", "asks")
    rows, marks = [], []
    for cell, rate in zip(cells, checked["rates"], strict=True):
        calibrated = percent(cell["divergence"]), percent(cell["upper"]), percent(cell["ask_rate"])
        shown = percent(rate["divergence"]), percent(rate["ask_rate"])
        rows.append((f"{100 * cell['budget']:g} %", f"{cell['threshold']:.4f}", *calibrated, *shown))
        marks.append(rate["divergence"] > rate["budget"])
    caption = (
        f"{criterion}: calibrated on {cells[0]['tokens']:,} rows of {cells[0]['documents']:,} documents, with "
        f"{100 * cells[0]['confidence']:.0f} % confidence; checked on {checked['tokens']:,} tokens."
    )
    return html_table(head, rows, caption, marks)


def comparison_table(report: dict[str, Any], entries: Sequence[dict[str, Any]], caption: str) -> str:
    """What each way of doubting asks at equal divergence, where the budget calls for asking at all.

    Args:
        report: names the doubts that need no training.
        entries: results of `doubts.compare`.
        caption: what was compared on; how much less or more our head asks for is added.
    """
    shown = [name for name in entries[0][DOUBT_COLUMNS[0]]["asks"] if name not in (HEAD, RANDOM, ORACLE)]
    head = (
        "criterion",
        "temperature, top-p",
        "budget",
        "never asking",
        "our head",
        "best free",
        "saves",
        *shown,
        "oracle",
    )
    rows, savings = [], []
    for criterion in DOUBT_COLUMNS:
        for entry in entries:
            found = entry[criterion]
            for number, budget in enumerate(found["budgets"]):
                if found["never asking"] <= budget:
                    continue
                asks = {name: rates[number] for name, rates in found["asks"].items()}
                best = min(asks[name] for name in report["free doubts"])
                savings.append(1 - asks[HEAD] / best)
                where = (str(criterion), f"{entry['temperature']:g}, {entry['top_p']:g}", f"{100 * budget:g} %")
                figures = (found["never asking"], asks[HEAD], best, savings[-1], *(asks[name] for name in shown))
                rows.append((*where, *map(percent, figures), percent(asks[ORACLE])))
    if savings:
        mean = sum(savings) / len(savings)
        caption += f" On average our head asks for {percent(abs(mean))} {'less' if mean >= 0 else 'more'}."
    return html_table(head, rows, caption)


def choice_table(report: dict[str, Any]) -> str:
    """What each doubt asks in the mean, by which the one to ship was chosen; that stands out."""
    rows, marks = [], []
    for choice in report["chosen"]:
        for name, asks in sorted(choice["asks"].items(), key=lambda item: item[1]):
            rows.append((choice["criterion"], name, percent(asks)))
            marks.append(name == choice["name"])
    first = report["chosen"][0]
    caption = (
        f"Share of tokens to ask at equal divergence, the mean over the budgets and ways of sampling, of "
        f"{first['tokens']:,} tokens from {first['documents']:,} documents that were held back from training."
    )
    return html_table(("criterion", "doubt", "asks"), rows, caption, marks)


def agreement_table(report: dict[str, Any]) -> str:
    """How often the draft writes what the target would."""
    head = (
        "text",
        "temperature, top-p",
        "tokens",
        "x = y",
        "typical off-target",
        "unlikely x",
        "total variation",
        "nats x",
        "nats y",
    )
    rows = [
        (
            line["kind"],
            f"{line['temperature']:g}, {line['top_p']:g}",
            f"{line['tokens']:,}",
            percent(line["agreement"]),
            percent(line["typical"]),
            percent(line["unlikely"]),
            f"{line['tv']:.3f}",
            f"{line['nll']:.3f}",
            f"{line['own_nll']:.3f}",
        )
        for line in report["agreement"]
    ]
    caption = (
        "x is the draft's token, y the target's with the same noise; unlikely: words that the target would hardly have "
        "written, whether it is one of its own or not; nats: what each costs under the target, a token; "
        "total variation at temperature 1. Own text is the target's, after openings of the report's documents; "
        "documents are read as they stand."
    )
    return html_table(head, rows, caption)


def provenance(report: dict[str, Any]) -> str:
    """With what the bundle was made: the command, the pair, the settings, the text."""
    documents = ", ".join(f"{count:,} to {name}" for name, count in report["documents"].items())
    facts = [
        *report["pair"].items(),
        *((name.replace("_", " "), value) for name, value in report["settings"].items()),
        ("documents", documents),
        ("rows trained on", f"{report['rows']:,}"),
        ("held-out loss of the trained head", f"{report['loss']:.4f} nats, summed over both criteria"),
    ]
    files = [(entry["role"], entry["file"], entry["sha256"]) for entry in report["corpora"]]
    return "\n".join(
        (
            f"<pre>{escape(report['command'])}</pre>",
            html_table(("the pair and its settings", ""), [(name, str(value)) for name, value in facts], kind="text"),
            html_table(("text", "file", "SHA-256"), files, kind="text"),
        )
    )


def html_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str = "",
    marks: Sequence[bool] = (),
    kind: str = "",
    groups: Sequence[tuple[str, int]] = (),
) -> str:
    """A table of plain texts; one that is too wide scrolls under its caption.

    Args:
        head: names of the columns.
        rows: a text a column each.
        caption: what stands above.
        marks: which rows stand out.
        kind: its class in the style sheet.
        groups: names that stand above so many columns each.
    """

    def line(cells: Sequence[str], mark: bool) -> str:
        inner = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        return f'<tr class="over">{inner}</tr>' if mark else f"<tr>{inner}</tr>"

    body = "".join(line(cells, mark) for cells, mark in zip(rows, marks or [False] * len(rows), strict=True))
    above = "".join(f'<th scope="colgroup" colspan="{count}">{escape(name)}</th>' for name, count in groups)
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    top = f'<tr class="groups">{above}</tr><tr>{heads}</tr>' if groups else f"<tr>{heads}</tr>"
    title = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    table = f'<table class="{kind}"><thead>{top}</thead><tbody>{body}</tbody></table>'
    # Who has no mouse can scroll what can be focused.
    return f'{title}<div class="wide" tabindex="0">{table}</div>'
