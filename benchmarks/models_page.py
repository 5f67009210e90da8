"""The page of architectures: one row each, from the results that runs under several versions of transformers kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.tables import markdown_table, provenance

_TABLE = re.compile(r"(<!-- results -->\n).*(<!-- end of results -->\n)", re.DOTALL)
# What rows have in common is one reason: who is meant can be seen in the table, and what to do then is left out.
_SHORT = (
    (r"; [^;]*$", ""),
    (r"^\S+ is exported by way of optimum .* and (\w+) is not installed here$", r"it needs \1, which is not there"),
    (r"^optimum cannot export an? \S+ as a causal language model$", "optimum does not know it"),
    (r"^\w+ cannot be a (target|draft): ", ""),
    (r"(config\.json|configuration|tokenizer|weights) of \S+ ", r"\1 "),
    (r"^\S+ (is an encoder-decoder model) \(\w+\)", r"it \1"),
    (r"^\S+ (lacks|has) ", r"it \1 "),
    (r" of an? \S+ and would leave out$", " and would leave out"),
)
# By version that ran, architecture, version that saved the checkpoint and way it is used: an outcome.
Results = dict[str, dict[str, dict[str, dict[str, dict[str, Any]]]]]


def write_page(page: Path, keep: Path) -> None:
    """Put the table of all results in a directory between the page's two marks."""
    results: Results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(keep.glob("*.json"))}
    text = _TABLE.sub(lambda mark: mark[1] + table(results) + mark[2], page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")


def table(results: Results) -> str:
    """The table, the numbered reasons of its refusals, and where all that comes from."""
    versions, reasons = list(results), dict[str, int]()
    columns = [(ran, saved, "target") for ran in versions for saved in sorted(versions, key=lambda saved: saved != ran)]
    columns += [(ran, ran, "draft") for ran in versions]
    heads = [f"{way}, {ran}" + ("" if saved == ran else f" reads {saved}'s") for ran, saved, way in columns]
    names = list(dict.fromkeys(name for found in results.values() for name in found))
    rows = []
    for name in names:
        cells = []
        for ran, saved, way in columns:
            outcome = results[ran].get(name, {}).get(saved, {}).get(way)
            cells.append(_shown(outcome, reasons))
        rows.append([name, *cells])
    wrong = sum("WRONG" in cell for row in rows for cell in row)
    numbered = [f"{number}. {reason}" for reason, number in reasons.items()]
    ending = f"{len(rows)} architectures, {wrong} wrong cells. {provenance('benchmarks.models')}."
    return "\n".join([markdown_table(["architecture", *heads], rows), "", ending, "", *numbered, ""])


def _shown(outcome: dict[str, Any] | None, reasons: dict[str, int]) -> str:
    if outcome is None:
        return "-"
    if outcome["refusal"] is not None:
        reason = outcome["refusal"]
        for pattern, short in _SHORT:
            reason = re.sub(pattern, short, reason)
        return f"refused ({reasons.setdefault(reason, len(reasons) + 1)})"
    if outcome["apart"]:
        return f"{outcome['distance']:.0e} ({reasons.setdefault(outcome['apart'], len(reasons) + 1)})"
    # Also true of what is no number.
    return f"{outcome['distance']:.0e}" if outcome["distance"] <= 1e-5 else f"WRONG {outcome['distance']:.0e}"
