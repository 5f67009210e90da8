"""Mode `auto` beside bandits that choose a mode a text, over every link of the report: simulated, in minutes.

    python -m benchmarks.controllers
    python -m benchmarks.controllers --runs 2 --texts 20 --links mobile wifi

What a token takes in each mode is drawn around the figures of docs/benchmarks/figures.json: of `sprint` in proportion
to what is asked, of `exact` to its passes. Which tokens are asked about, and the passes, are those of real texts of the
embedded pair (docs/benchmarks/texts.json, by `python -m benchmarks.controlled`). On a link that loses packets one
message in a hundred comes 220 ms late, on a phone network one in 250 by 400 ms. `auto` is the real one, on a scripted
clock; each device begins without any measurement.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import fmean

from benchmarks.controlled import FIGURES, TEXTS, Kind, Place, Text, drawn, places
from benchmarks.files import add_files, write_files
from benchmarks.local_target import run_main
from benchmarks.network.profiles import PROFILES
from benchmarks.tables import markdown_table
from cloud_target.options.values import count
from edge_client.auto.chooser import Chooser
from edge_client.auto.pace import Pace
from edge_client.settings import Prefer
from shared.config import Mode

MODES = (Mode.SPRINT, Mode.EXACT, Mode.CLOUD)
# The first texts of a device.
FIRST = 20
LEGEND = """\
Time over that of the mode that is best for all texts of a cell (link, step, criterion, temperature) together, in
hindsight; below 1 where single texts are better written in another one. Of each controller the mean over all cells, the
worst, those above 1.05, and those in which it took more than 1.02 times the plain stream's time."""


class Auto:
    """The real one. Going over from the device to the target takes a round trip and a pass."""

    def __init__(self, place: Place, kind: Kind, chance: random.Random) -> None:
        self._place, self._kind, self._chance = place, kind, chance
        self._pace = Pace(told=place.told, guess=place.round_trip * 1.05 + 0.001)
        self._pace.travelled(place.round_trip * 1.03 + 0.0005)
        self._now = 0.0

    def write(self, text: Text) -> float:
        """The seconds that a text takes; learns from them."""
        place, begun, asked = self._place, self._now, 0
        since = {"tokens": 0, "asked": 0}
        length = len(text.asks)
        known = self._kind.asked, self._kind.agreement
        chooser = Chooser(self._pace, (), Prefer.SPEED, MODES, 0, 32, *known, lambda: self._now, length)

        def read(mode: Mode) -> None:
            tokens, questions = since["tokens"], since["asked"]
            since.update(tokens=0, asked=0)
            if not tokens:
                return
            if mode is not Mode.CLOUD:
                self._pace.drafted(place.draft * 8 * tokens, 8 * tokens)
            passes = {Mode.SPRINT: max(questions, 1), Mode.EXACT: max(round(tokens * place.passes), 1)}
            step = place.steps[mode]
            noisy = [step * self._chance.lognormvariate(0, 0.15) for _ in range(passes.get(mode, tokens))]
            self._pace.passed(mode, noisy)
            jitter = max(PROFILES[place.link].jitter, 0.0005)
            for _ in range(questions):
                self._pace.travelled(place.round_trip + abs(self._chance.gauss(0, jitter)) + place.late(self._chance))

        chooser.listen(read)
        for token in range(length):
            before = chooser.mode
            if chooser.shown(token, length - token, asked) and before is Mode.SPRINT:
                self._now += place.round_trip + place.steps[chooser.mode]
            mode = chooser.mode
            self._now += text.takes[mode][token] + (0.0 if token else text.first[mode])
            asks = mode is Mode.SPRINT and text.asks[token]
            asked += asks
            since["asked"] += asks
            since["tokens"] += 1
        chooser.measure(length, asked)
        return self._now - begun


class Ucb1:
    """UCB1 (Auer, Cesa-Bianchi, Fischer, 2002): an arm a mode, the mean of the texts' times a token as cost."""

    def __init__(self, *_: object) -> None:
        self._arms: dict[Mode, list[tuple[float, int]]] = {mode: [] for mode in MODES}

    def write(self, text: Text) -> float:
        mode = self._next()
        seconds = text.whole(mode)
        self._arms[mode].append((seconds, len(text.asks)))
        return seconds

    def _next(self) -> Mode:
        return next((mode for mode, arm in self._arms.items() if not arm), None) or min(MODES, key=self._least)

    def _least(self, mode: Mode) -> float:
        rates = {mode: [seconds / tokens for seconds, tokens in arm] for mode, arm in self._arms.items()}
        texts = sum(map(len, rates.values()))
        return fmean(rates[mode]) - max(map(max, rates.values())) * sqrt(2 * log(texts) / len(rates[mode]))


class RatioBandit(Ucb1):
    """A plain reading of what the abstract of UCB-SpecStop (arXiv 2606.20591) says, with modes as arms: the cost of an
    arm is its summed time over its summed tokens, less a bound. Once one is ahead by more, no other is tried."""

    _settled: Mode | None = None

    def _next(self) -> Mode:
        if self._settled is None and all(len(arm) > 1 for arm in self._arms.values()):
            best = min(MODES, key=lambda mode: self._least(mode) + 2 * self._width(mode))
            most = self._least(best) + 2 * self._width(best)
            if all(mode is best or most < self._least(mode) for mode in MODES):
                self._settled = best
        return self._settled or super()._next()

    def _least(self, mode: Mode) -> float:
        return _ratio(self._arms[mode]) - self._width(mode)

    def _width(self, mode: Mode) -> float:
        everything = [one for arm in self._arms.values() for one in arm]
        return _ratio(everything) * sqrt(log(len(MODES) * len(everything)) / (2 * len(self._arms[mode])))


def _ratio(texts: Sequence[tuple[float, int]]) -> float:
    return sum(seconds for seconds, _ in texts) / sum(tokens for _, tokens in texts)


CONTROLLERS: dict[str, Callable[[Place, Kind, random.Random], Auto | Ucb1]] = {
    "auto": Auto,
    "ratio bandit": RatioBandit,
    "UCB1": Ucb1,
}


@dataclass(frozen=True)
class Row:
    """The seconds that some texts of one kind took over one link, by controller and by mode."""

    link: str
    step_ms: float
    criterion: str
    temperature: float
    part: str
    seconds: dict[str, float]

    @property
    def best(self) -> str:
        """The mode that is best for all of them."""
        return min(MODES, key=lambda mode: self.seconds[mode])

    def over(self, name: str, other: str) -> float:
        return self.seconds[name] / self.seconds[other]


def measure(place: Place, kind: Kind, runs: int, texts: int) -> Iterator[Row]:
    """So many devices, which begin at different texts and write so many each; first texts and later ones apart."""
    usual = fmean(passes for _, passes in kind.texts)
    parts = {name: dict.fromkeys((*CONTROLLERS, *MODES), 0.0) for name in ("first", "later")}
    for run in range(runs):
        chance = random.Random(f"{run} {place.link} {place.step} {kind.criterion} {kind.temperature}")
        devices = {name: make(place, kind, random.Random(run)) for name, make in CONTROLLERS.items()}
        for number in range(texts):
            found = kind.texts[(run * len(kind.texts) // runs + number) % len(kind.texts)]
            text = drawn(place, *found, usual, chance)
            seconds = parts["first" if number < FIRST else "later"]
            for name, device in devices.items():
                seconds[name] += device.write(text)
            for mode in MODES:
                seconds[mode] += text.whole(mode)
    for part, seconds in parts.items():
        if any(seconds.values()):
            yield Row(place.link, place.step, kind.criterion, kind.temperature, part, seconds)


def tables(rows: Sequence[Row]) -> list[str]:
    """All controllers together, and `auto` beside the best mode by link."""
    summary = []
    for part in dict.fromkeys(row.part for row in rows):
        own = [row for row in rows if row.part == part]
        for name in CONTROLLERS:
            ratios = [row.over(name, row.best) for row in own]
            figures = f"{fmean(ratios):.3f}", f"{max(ratios):.2f}", f"{sum(one > 1.05 for one in ratios)} of {len(own)}"
            slower = sum(row.over(name, Mode.CLOUD) > 1.02 for row in own)
            summary.append([f"{name}, {part} texts", *figures, f"{slower} of {len(own)}"])
    heads = [
        "link",
        "step, ms",
        *(f"{name}, {part}" for part in dict.fromkeys(r.part for r in rows) for name in CONTROLLERS),
    ]
    by_link = []
    for link, step in dict.fromkeys((row.link, row.step_ms) for row in rows):
        cells = []
        for part in dict.fromkeys(row.part for row in rows):
            own = [row for row in rows if (row.link, row.step_ms, row.part) == (link, step, part)]
            for name in CONTROLLERS:
                ratios = [row.over(name, row.best) for row in own]
                cells.append(f"{fmean(ratios):.2f} ({max(ratios):.2f})")
        by_link.append([link, f"{step:g}" if step else "own", *cells])
    return [
        markdown_table(["", "mean", "worst", "above 1.05", "above 1.02 of cloud"], summary),
        LEGEND,
        markdown_table(heads, by_link),
        "Mean over temperatures 0, 0.7 and 1 and both criteria, and in brackets the worst of them.",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=count, default=6, help="devices of each kind (default: %(default)s)")
    parser.add_argument("--texts", type=count, default=60, help="that each writes (default: %(default)s)")
    parser.add_argument("--links", nargs="+", choices=PROFILES, default=list(PROFILES), help="(default: all)")
    add_files(parser, "rows")
    options = parser.parse_args()
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))["figures"]
    kinds = [Kind(**kind) for kind in json.loads(TEXTS.read_text(encoding="utf-8"))]
    rows: list[Row] = []
    for place in places(figures, options.links):
        print(f"  {place.link}, {place.step:g} ms", file=sys.stderr, flush=True)
        for kind in kinds:
            rows += measure(place, kind, options.runs, options.texts)
    parts = tables(rows)
    print("\n\n".join(parts))
    write_files(options, "benchmarks.controllers", parts, rows)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
