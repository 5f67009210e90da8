"""The plots of the report, in one style: ours in colours, baselines grey and dashed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle, product
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.report.asker import Point
from benchmarks.report.figures import Figures
from benchmarks.report.systems import CLOUD

if TYPE_CHECKING:  # not in every version that is allowed
    from matplotlib.typing import RcKeyType

_INK, _FAINT = "#333333", "#bbbbbb"
_OURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_GREYS = ("#222222", "#8a8a8a")
_DASHES = ((0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
_MARKS = "osD^vP"
_RC: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tandem",
    "font.family": "sans-serif",
    "font.size": 9,
    "figure.facecolor": "white",
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": _FAINT,
    "grid.alpha": 0.4,
    "grid.linewidth": 0.5,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
# A token's time, from what the device does to what it waits for.
_PARTS = {
    "draft_ms": ("draft", "#0072b2"),
    "verifier_ms": ("verifier", "#56b4e9"),
    "rest_ms": ("rest of the loop", "#009e73"),
    "network_ms": ("waiting for the network", "#e69f00"),
    "target_ms": ("waiting for the target", "#d55e00"),
}


class Pens:
    """How each system is drawn, wherever it is drawn."""

    def __init__(self, figures: Sequence[Figures]) -> None:
        ours, others = _ours(), _others()
        self._pens: dict[str, dict[str, Any]] = {}
        for name, is_ours in dict.fromkeys((one.system, one.is_ours) for one in figures):
            pen = {"color": _INK, "linewidth": 1.0} if name == CLOUD else next(ours if is_ours else others)
            self._pens[name] = pen | {"markersize": 4, "label": name}

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self._pens[name]


def _ours() -> Iterator[dict[str, Any]]:
    for colour, mark in zip(cycle(_OURS), cycle(_MARKS), strict=False):
        yield {"color": colour, "linewidth": 1.8, "marker": mark}


def _others() -> Iterator[dict[str, Any]]:
    for (grey, dashes), mark in zip(cycle(product(_GREYS, _DASHES)), cycle(_MARKS), strict=False):
        yield {"color": grey, "linestyle": dashes, "linewidth": 1.2, "marker": mark}


def speed_plot(figures: Sequence[Figures], lossy: Sequence[str], title: str) -> str:
    """Speed over the cloud's stream, and the time until the first token, against the round trip.

    Args:
        figures: with one step of the target.
        lossy: links that stand apart, because the round trip is not what is bad about them.
    """
    links = list(dict.fromkeys((one.link, one.round_trip_ms) for one in figures))
    even = sorted((link for link in links if link[0] not in lossy), key=lambda link: link[1])
    apart = [link for link in links if link[0] in lossy]
    places = {link: float(i) for i, (link, _) in enumerate(even)}
    places |= {link: len(even) + 0.3 + i for i, (link, _) in enumerate(apart)}
    pens = Pens(figures)

    def draw(axes: Axes, value: Callable[[Figures], float], label: str) -> None:
        for name in dict.fromkeys(one.system for one in figures):
            own = {places[one.link]: value(one) for one in figures if one.system == name}
            along = sorted(place for place in own if place < len(even))
            axes.plot(along, [own[place] for place in along], **pens[name])
            beside = sorted(own.keys() - set(along))
            axes.plot(beside, [own[place] for place in beside], **pens[name] | {"linestyle": "", "label": None})
        axes.set_yscale("log")
        _plain(axes)
        axes.set_xticks(list(places.values()), [f"{link}\n{trip:g} ms" for link, trip in [*even, *apart]])
        axes.set(ylabel=label)

    with _figure((9.6, 4.2), 2) as (figure, (left, right)):
        draw(left, lambda one: one.speed_up, "times the speed of the cloud's stream")
        draw(right, lambda one: one.first_ms, "ms until the first settled token")
        left.set(title=title)
        figure.legend(*left.get_legend_handles_labels(), loc="outside right center")
        return _svg(figure)


def asking_plot(curves: dict[str, list[Point]], criteria: Sequence[str]) -> str:
    """How much must be asked for how little divergence, by each criterion."""
    with _figure((9.6, 3.8), len(criteria)) as (figure, panels):
        for axes, criterion in zip(panels, criteria, strict=True):
            ours, others = _ours(), _others()
            for name, curve in curves.items():
                is_ours = name.startswith("ours")
                if is_ours and not name.endswith(criterion):
                    continue
                # Where all is asked, every curve ends.
                points = sorted((point for point in curve if point.asked < 1), key=lambda point: point.asked)
                pen = next(ours) | {"label": "ours"} if is_ours else next(others) | {"label": name}
                x, y = [point.asked for point in points], [getattr(point, criterion) for point in points]
                axes.plot(x, y, markersize=4, **pen)
            axes.set(title=f"{criterion} criterion", xlabel="tokens asked, %", ylabel="divergence rate, %")
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}"))
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
        return _svg(figure)


def parts_plot(groups: Mapping[str, Sequence[Figures]]) -> str:
    """A token's time by part: a bar a system, a panel a title."""
    with _figure((9.6, 3.6), len(groups)) as (figure, panels):
        for axes, (title, figures) in zip(panels, groups.items(), strict=True):
            names = [one.system for one in figures]
            begins = [0.0] * len(figures)
            for part, (label, colour) in _PARTS.items():
                widths = [getattr(one, part) for one in figures]
                axes.barh(names, widths, left=begins, color=colour, label=label, height=0.7)
                begins = [begin + width for begin, width in zip(begins, widths, strict=True)]
            _bars(axes, title, "ms a token")
        panels[-1].tick_params(labelleft=len(panels) == 1)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(_PARTS))
        return _svg(figure)


def work_plot(figures: Sequence[Figures], title: str) -> str:
    """What a system makes the target do, beside how fast it is."""
    shown: dict[str, Callable[[Figures], float]] = {
        "times the cloud's stream": lambda one: one.speed_up,
        "passes a token": lambda one: one.passes,
        "target, ms a token": lambda one: one.busy_ms,
    }
    pens = Pens(figures)
    figures = [one for one in figures if one.passes]  # who never asks has another scale
    with _figure((9.6, 3.4), len(shown)) as (figure, panels):
        for number, (axes, (label, value)) in enumerate(zip(panels, shown.items(), strict=True)):
            bars = axes.barh(
                [one.system for one in figures],
                [value(one) for one in figures],
                color=[pens[one.system]["color"] for one in figures],
                height=0.7,
            )
            axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7, color=_INK)
            axes.margins(x=0.18)
            axes.tick_params(labelleft=not number)
            _bars(axes, "" if number else title, label)
        return _svg(figure)


def _bars(axes: Axes, title: str, label: str) -> None:
    axes.set(title=title, xlabel=label)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def _plain(axes: Axes) -> None:
    """Numbers as people write them on a logarithmic axis, at 1, 2 and 5."""
    axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


@contextmanager
def _figure(size: tuple[float, float], panels: int) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    with mpl.rc_context(_RC):
        figure = Figure(figsize=size, layout="constrained")
        yield figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
