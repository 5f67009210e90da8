"""Texts over the links of the report, in every mode, as a simulation has them; for `benchmarks.controllers`.

    python -m benchmarks.controlled --documents stories.txt.xz dialogues.txt.xz

records the texts: which tokens `sprint` asks about, and the passes of `exact`, in docs/benchmarks/texts.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import exp
from pathlib import Path
from typing import Any

from benchmarks.local_target import local_target, run_main
from benchmarks.network.profiles import PROFILES
from benchmarks.pair import add_pair, prompts_of
from benchmarks.report.plan import SIMULATED
from benchmarks.report.prompts import alternately
from benchmarks.report.systems import STRICT
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from edge_client.decoding.text import Origin
from edge_client.edge import Edge
from edge_client.promise.beginning import agreement_of, asked_of
from edge_client.settings import Settings
from shared.config import Criterion, Mode

FIGURES, TEXTS = (
    Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / name for name in ("figures.json", "texts.json")
)
MODES = (Mode.SPRINT, Mode.EXACT, Mode.CLOUD)
_STRICT, _TYPICAL = "sprint, strict 5 %", "sprint, typical 1 %"
_RESENT, _LOST = 0.22, 0.01  # seconds, and share of the messages
_STALL, _STALLED = 0.4, 0.004
_LAG = 8.0  # passes in a round trip, after which hardly a guess comes in time


@dataclass(frozen=True)
class Kind:
    """Recorded texts of one criterion and temperature.

    Attributes:
        asked: share of tokens that `sprint` is expected to ask about, before anything is measured.
        agreement: share of drafted tokens that are the target's own.
        texts: of each which tokens were asked about ("01001..."), and the passes a token in `exact`.
    """

    criterion: str
    temperature: float
    asked: float
    agreement: float
    texts: Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Place:
    """What a token takes over one link, seconds; `asked` for one that `sprint` asks about, `shown` for every one."""

    link: str
    step: float
    shown: float
    asked: float
    told: float
    means: dict[Mode, float]
    first: dict[Mode, float]
    steps: dict[Mode, float]
    passes: float
    draft: float

    @property
    def round_trip(self) -> float:
        return PROFILES[self.link].round_trip

    @property
    def usually_late(self) -> float:
        """What a message comes late in the mean, which the figures have in them."""
        profile = PROFILES[self.link]
        return _LOST * _RESENT if profile.loss else _STALLED * _STALL if profile.stall_every else 0.0

    def late(self, chance: random.Random) -> float:
        """What one message comes late."""
        profile = PROFILES[self.link]
        if profile.loss and chance.random() < _LOST:
            return _RESENT
        return _STALL if profile.stall_every and chance.random() < _STALLED else 0.0


def places(figures: Sequence[dict[str, Any]], links: Sequence[str]) -> Iterator[Place]:
    """Every link of a report with both steps of the target."""
    of = {(one["step_ms"], one["link"], one["system"]): one for one in figures}
    for step in (0.0, SIMULATED):
        for link in links:
            if (step, link, "exact") not in of:
                continue
            strict, typical, exact, cloud = (of[step, link, name] for name in (_STRICT, _TYPICAL, "exact", "cloud"))
            more = (strict["ms_a_token"] - typical["ms_a_token"]) / (strict["asked"] - typical["asked"])
            led = {Mode.EXACT: exact, Mode.CLOUD: cloud}
            yield Place(
                link,
                step,
                max(typical["ms_a_token"] - more * typical["asked"], 0.4) / 1e3,
                more / 1e3,
                of[step, "loopback", "cloud"]["busy_ms"] / 1e3,
                {mode: (128 * one["ms_a_token"] - one["first_ms"]) / 127e3 for mode, one in led.items()},
                {Mode.SPRINT: 0.003, **{mode: one["first_ms"] / 1e3 for mode, one in led.items()}},
                {
                    mode: one["busy_ms"] / one["passes"] / 1e3
                    for mode, one in {Mode.SPRINT: strict, Mode.EXACT: exact, Mode.CLOUD: cloud}.items()
                },
                exact["passes"],
                (strict["draft_ms"] + strict["verifier_ms"]) / (1 + strict["wasted"]) / 1e3,
            )


@dataclass(frozen=True)
class Text:
    """One text: which tokens `sprint` asks about, and what each takes by mode, seconds."""

    asks: Sequence[bool]
    takes: dict[Mode, list[float]]
    first: dict[Mode, float]

    def whole(self, mode: Mode) -> float:
        """All of it in one mode."""
        return self.first[mode] + sum(self.takes[mode])


def drawn(place: Place, asks: str, passes: float, usual: float, chance: random.Random) -> Text:
    """A text by what is asked ("01001..."), and by its passes a token in `exact` beside those of the usual text."""

    def share(passes: float) -> float:  # that are left over this link
        return 1.0 - (1.0 - passes) * exp(-place.round_trip / place.steps[Mode.EXACT] / _LAG)

    def streamed(mean: float, evenly: float) -> list[float]:  # what comes late holds up what is behind it
        ideal, before, found = 0.0, 0.0, []
        for _ in asks:
            ideal += mean * chance.gammavariate(evenly, 1 / evenly)
            arrives = max(before, ideal + place.late(chance))
            found.append(arrives - before)
            before = arrives
        return found

    waits = place.asked - place.usually_late
    sprint = [
        place.shown * chance.gammavariate(8, 1 / 8)
        + (waits * chance.gammavariate(1.5, 1 / 1.5) + place.late(chance) if asked == "1" else 0.0)
        for asked in asks
    ]
    exact = place.means[Mode.EXACT] * share(passes) / share(usual)
    cloud = place.means[Mode.CLOUD] * chance.lognormvariate(0, 0.03)
    takes = {Mode.SPRINT: sprint, Mode.EXACT: streamed(exact, 4), Mode.CLOUD: streamed(cloud, 30)}
    return Text([asked == "1" for asked in asks], takes, place.first)


def record(edge: Edge, prompts: Sequence[Sequence[int]], criterion: Criterion, temperature: float) -> Kind:
    """Write a text behind each prompt, in `sprint` and in `exact`."""
    budget = STRICT if criterion is Criterion.STRICT else Settings.budget
    usual = Settings(criterion=criterion, budget=budget, temperature=temperature, top_p=0.9, max_tokens=128)
    manifest, texts = edge.bundle.manifest, []
    for seed, prompt in enumerate(prompts):
        with edge.stream(prompt, **vars(replace(usual, mode=Mode.SPRINT, seed=seed))) as stream:
            origins = [token.origin for token in stream]
        exact = edge.generate(prompt, **vars(replace(usual, mode=Mode.EXACT, seed=seed))).usage
        asks = "".join("01"[origin is Origin.TARGET] for origin in origins)
        texts.append((asks, round(exact.calls / exact.tokens, 3)))
    asked = asked_of(manifest.calibration, criterion, usual.sampling, budget)
    return Kind(str(criterion), temperature, asked or 0.0, agreement_of(manifest.doubts, usual.sampling) or 1.0, texts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair(parser)
    parser.add_argument("--prompts", type=count, default=60, help="texts of each kind (default: %(default)s)")
    options = parser.parse_args()
    bundle, kinds = Bundle.load(options.bundle), []
    prompts = alternately(prompts_of(options, bundle.tokenizer, options.prompts), max(len(options.documents), 1))
    with local_target("--target", options.target) as target:
        for temperature in (0.0, 0.7, 1.0):
            for criterion in Criterion:
                print(f"  {criterion}, temperature {temperature:g}", file=sys.stderr, flush=True)
                with Edge(target.address, bundle=bundle, memory=False, on_outage="wait") as edge:
                    kinds.append(record(edge, prompts, criterion, temperature))
    TEXTS.write_text("[\n" + ",\n".join(json.dumps(asdict(kind)) for kind in kinds) + "\n]\n", encoding="utf-8")
    print(TEXTS)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
