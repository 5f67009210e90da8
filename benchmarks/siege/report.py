"""The table of a siege: medians over rounds beside what the product promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from benchmarks.siege.measure import BACK_DESCRIPTORS, BACK_MB, BACK_SECONDS, Round, is_back
from benchmarks.tables import markdown_table

# What the product promises beside 128 hostile connections: p99 is so many times that alone at most, and memory grows by
# no more than so much, all of which comes back.
SLOWER, GROWN_MB = 2.0, 200
MB = 1_000_000
# How a question goes, and which of its times are told.
WAYS = {"held": "over a link that is held", "new": "over a new link"}
SHARES = (0.5, 0.99)


def quantile(seconds: Sequence[float], share: float) -> float:
    """Milliseconds; NaN of none."""
    return 1e3 * float(np.quantile(seconds, share)) if seconds else float("nan")


def slowed(found: Sequence[Round], over: str, share: float, phase: str = "beside", than: str = "alone") -> float:
    """How many times as long as in another phase of the same round, a median over rounds."""
    return median(_time(each, phase, over, share) / _time(each, than, over, share) for each in found)


def grown(found: Sequence[Round]) -> float:
    """MB of memory that strangers took at most, in any round."""
    return max(each.most - each.before.resident for each in found) / MB


def report(found: Sequence[Round]) -> str:
    """All that is to be said of rounds beside the same strangers, in Markdown."""
    return "\n\n".join([_times(found), _bars(found), _sent_away(found)])


def comparison(found: Mapping[str, Sequence[Round]]) -> str:
    """A line for each kind of strangers that was there by itself: which one costs what."""
    rows = [
        [
            name,
            *(f"{slowed(each, over, share):.2f}" for over in WAYS for share in SHARES),
            f"{grown(each):+.0f}",
            f"{sum(is_back(one.left, one.before) for one in each)} of {len(each)}",
            f"{median(one.cores[0] for one in each):.2f}",
            f"{median(one.cores[1] for one in each):.2f}",
            f"{sum(one.beside.lost for one in each)}",
        ]
        for name, each in found.items()
    ]
    ratios = [f"{way}, p{100 * share:.0f}" for way in WAYS for share in SHARES]
    return markdown_table(["beside", *ratios, "MB", "back", "cores", "their own", "lost"], rows)


def _time(one: Round, phase: str, over: str, share: float) -> float:
    return quantile(getattr(getattr(one, phase), over), share)


def _times(found: Sequence[Round]) -> str:
    rows = []
    for over, way in WAYS.items():
        for share in SHARES:
            cells = [f"{median(_time(each, 'alone', over, share) for each in found):.1f}"]
            for phase in ("beside", "neighboured", "after"):
                cells.append(f"{median(_time(each, phase, over, share) for each in found):.1f}")
                cells.append(f"{slowed(found, over, share, phase):.2f}")
            rows.append([f"{way}, p{100 * share:.0f}", *cells])
    return markdown_table(
        ["a question, ms", "alone", "beside", "ratio", "beside a neighbour", "ratio", "after", "ratio"], rows
    )


def _bars(found: Sequence[Round]) -> str:
    """Figures and what they may be at most."""
    before = found[0].before
    left = max(each.left.resident for each in found) - before.resident
    open_ = max(each.left.descriptors for each in found) - before.descriptors
    back = sum(is_back(each.left, before) for each in found)
    asked = [phase for each in found for phase in (each.alone, each.beside, each.after, each.neighboured)]
    rows = [
        *(
            (f"p99 beside strangers, {way}, ratio", f"{slowed(found, o, 0.99):.2f}", f"{SLOWER:g}")
            for o, way in WAYS.items()
        ),
        *(
            (f"p99 beside strangers over that beside a neighbour, {way}", f"{of_it:.2f}", "")
            for o, way in WAYS.items()
            for of_it in [slowed(found, o, 0.99, than="neighboured")]
        ),
        ("memory before, MB", f"{before.resident / MB:.0f}", ""),
        ("memory that strangers took, MB", f"{grown(found):+.0f}", f"{GROWN_MB}"),
        (f"memory {BACK_SECONDS:g} s after they had left at the latest, MB", f"{left / MB:+.0f}", f"{BACK_MB}"),
        ("descriptors before", f"{before.descriptors}", ""),
        ("descriptors after they had left", f"{open_:+d}", f"{BACK_DESCRIPTORS}"),
        ("rounds in which all came back", f"{back}", f"{len(found)}"),
        ("questions that were lost", f"{sum(each.lost for each in asked)}", "0"),
        ("answers that were wrong", f"{sum(each.wrong for each in asked)}", "0"),
        ("processor cores of the target beside them", f"{median(each.cores[0] for each in found):.2f}", ""),
        ("processor cores of the strangers", f"{median(each.cores[1] for each in found):.2f}", ""),
        ("processor cores of the neighbour", f"{median(each.cores[2] for each in found):.2f}", ""),
    ]
    return markdown_table(["", "measured", "bar"], rows)


def _sent_away(found: Sequence[Round]) -> str:
    """What became of the strangers, by kind, over all rounds."""
    counts: dict[str, Counter[str]] = {}
    for each in found:
        for name, one in each.strangers.items():
            counts.setdefault(name, Counter()).update(one)
    rows = [[name, f"{one['came']}", f"{one['sent away']}", f"{one['bytes'] / MB:.1f}"] for name, one in counts.items()]
    return markdown_table(["strangers", "came", "were sent away", "said, MB"], rows)
