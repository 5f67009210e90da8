"""The report's charts: small SVG drawings whose colours the page decides, so that they read well in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from cloud_target.prepare.curves import RUN_EDGES
from cloud_target.prepare.measure import HEAD, ORACLE, RANDOM

if TYPE_CHECKING:  # not in every version that is allowed
    from matplotlib.typing import RcKeyType

# Stand-ins that the page's style sheet replaces by colours for its background; see `_themed`.
_INK = "#010203"
_FAINT = "#010204"
_COLOURS = {f"#0203{i:02x}": f"var(--c{i})" for i in range(8)} | {_INK: "var(--ink)", _FAINT: "var(--faint)"}
_SERIES = list(_COLOURS)[:8]
_SIZE = (3.9, 3.0)  # inches
_RC: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tandem",
    "font.size": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _FAINT,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.5,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "path.simplify": True,
}


class Pens:
    """How each doubt is drawn: ours stands out, trained ones are solid, those without training dashed, the rest grey.

    Args:
        names: of all doubts.
        free: of those that need no training.
    """

    def __init__(self, names: Sequence[str], free: Sequence[str]) -> None:
        self.names = [HEAD, *(name for name in names if name != HEAD)]
        self._pens = {HEAD: (_SERIES[0], "", 2.4), RANDOM: (_FAINT, "1 2", 1.2), ORACLE: (_FAINT, "6 2", 1.2)}
        colours, dashes = cycle(_SERIES[1:]), cycle(("5 2", "1 1.5", "5 1.5 1 1.5", "2.5 1.5"))
        for name in self.names:
            if name not in self._pens:
                self._pens[name] = next(colours), next(dashes) if name in free else "", 1.3

    def on_page(self, name: str) -> tuple[str, str, float]:
        """Colour, dashes (as SVG has them, empty for a solid line) and width, in the page's own terms."""
        colour, dashes, width = self._pens[name]
        return _COLOURS[colour], dashes, width

    def draw(self, axes: Axes, name: str, x: list[float], y: list[float]) -> None:
        """Draw the line of a doubt."""
        colour, dashes, width = self._pens[name]
        style = (0, tuple(map(float, dashes.split()))) if dashes else "-"
        axes.plot(x, y, color=colour, linestyle=style, linewidth=width, zorder=4 if name == HEAD else 3)


def roc_chart(curve: dict[str, Any], pens: Pens) -> str | None:
    """How many errors are caught, for how many needless asks; None where there are no errors to be caught."""
    drawn = {name: line for name, line in curve["roc"].items() if line["false"]}
    if not drawn:
        return None

    def draw(axes: Axes) -> None:
        for name, line in drawn.items():
            pens.draw(axes, name, line["false"], line["true"])
        axes.set(xlabel="on-target tokens asked (%)", ylabel="off-target tokens asked (%)", xlim=(0, 1), ylim=(0, 1.01))
        _percent(axes)

    return _svg(draw, "ROC curves")


def trade_chart(
    curve: dict[str, Any], pens: Pens, steered: list[dict[str, float]], alone: list[dict[str, float]]
) -> str | None:
    """What asking buys; dots are steered devices, rings thresholds alone. None where not asking costs nothing."""
    never = max(line["divergence"][0] for line in curve["trade"].values())
    if not never:
        return None

    def draw(axes: Axes) -> None:
        for name, line in curve["trade"].items():
            pens.draw(axes, name, line["ask"], line["divergence"])
        for rates, fill in ((alone, "none"), (steered, _SERIES[0])):
            asks, divergences = [r["ask_rate"] for r in rates], [r["divergence"] for r in rates]
            axes.plot(asks, divergences, "o", color=_SERIES[0], markerfacecolor=fill, markersize=4.5, zorder=5)
        axes.set(xlabel="tokens asked (%)", ylabel="divergence rate (% of all tokens)", xlim=(-0.01, 1))
        axes.set_ylim(0, 1.05 * never)
        _percent(axes)

    return _svg(draw, "Ask rate against divergence rate")


def reliability_chart(curve: dict[str, Any]) -> str:
    """Whether a doubt means what it says."""

    def draw(axes: Axes) -> None:
        groups = curve["reliability"]
        x, y = (np.array([group[name] for group in groups]) for name in ("doubt", "rate"))
        spread = [np.abs(y - [group[name] for group in groups]) for name in ("low", "high")]
        most = max(0.01, *x, *(group["high"] for group in groups)) * 1.05
        axes.plot([0, most], [0, most], color=_FAINT, linestyle=(0, (6, 2)), linewidth=1)
        axes.errorbar(x, y, yerr=spread, fmt="o-", color=_SERIES[0], markersize=4, linewidth=1.2, elinewidth=1)
        # Most doubts are small: a root shows them without losing the large ones or the zero.
        for set_scale in (axes.set_xscale, axes.set_yscale):
            set_scale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
        ticks = [tick for tick in (0, 0.01, 0.05, 0.1, 0.25, 0.5, 1) if tick <= most]
        axes.set(
            xlabel="mean doubt of a group (%, root scale)",
            ylabel="off-target in it (%, root scale)",
            xlim=(0, most),
            ylim=(0, most),
        )
        axes.set(xticks=ticks, yticks=ticks)
        _percent(axes)

    return _svg(draw, "Reliability of the doubt")


def runs_chart(curve: dict[str, Any]) -> str | None:
    """Tokens accepted between two asks at each budget; None where none asks, or all ask about everything."""
    drawn = {budget: found for budget, found in curve["runs"].items() if found["asks"] and found["shares"][0] < 1}
    if not drawn:
        return None

    def draw(axes: Axes) -> None:
        for number, (budget, found) in enumerate(drawn.items()):
            mark, colour = "osD^v"[number % 5], _SERIES[number % 5]
            label = f"{100 * float(budget):g} %"
            axes.plot(found["shares"], marker=mark, color=colour, markersize=4, linewidth=1.1, label=label)
        following = (*RUN_EDGES[1:], None)
        labels = [
            f"{first}+" if after is None else str(first) if after - first == 1 else f"{first}-{after - 1}"
            for first, after in zip(RUN_EDGES, following, strict=True)
        ]
        axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
        axes.set(xlabel="tokens accepted before an ask, in classes that double", ylabel="runs (%)")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol="", decimals=0))
        axes.legend(title="budget", frameon=False, fontsize=8, title_fontsize=8)

    return _svg(draw, "Run lengths")


def renamed(svg: str, prefix: str) -> str:
    """The drawing with names of its own, so that many can lie in one page."""
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)


def _percent(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}"))


def _svg(draw: Callable[[Axes], None], title: str) -> str:
    with mpl.rc_context(_RC):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        axes.grid(True)
        axes.set_axisbelow(True)
        draw(axes)
        out = io.StringIO()
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    return _themed(out.getvalue(), title)


def _themed(svg: str, title: str) -> str:
    """The drawing alone, to be set into a page: no prologue, short numbers, and the page's own colours and letters."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r"(\d+\.\d\d)\d+", r"\1", svg)
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)
    for stand_in, colour in _COLOURS.items():
        svg = svg.replace(stand_in, colour)
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    return re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{title}">', svg)
