"""The run: choices for the baselines, then every system over every link, to the target as it is and to a slower one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np

from benchmarks.cascades import Score, paper_score
from benchmarks.network.process import relay_process
from benchmarks.network.profiles import PROFILES
from benchmarks.peers.rows import Row
from benchmarks.peers.run import compare
from benchmarks.report.asker import Point
from benchmarks.report.choices import Choices, choose
from benchmarks.report.colocated import Colocated, Reader
from benchmarks.report.device import Device, Text
from benchmarks.report.figures import Figures, Peaks, Place
from benchmarks.report.paced import PacedTarget, Work
from benchmarks.report.plan import PEERS_SHARE, SIMULATED, Allowance, Plan
from benchmarks.report.prompts import Prompt, Prompts
from benchmarks.report.systems import ASKERS, CLOUD, PAPER, System, systems_of
from benchmarks.report.turns import Writer, summed_up, take_turns
from cloud_target.engine.files import find_directory
from edge_client.bundles.bundle import Bundle
from edge_client.settings import Settings
from shared.config import Mode
from shared.errors import InputError

LOOPBACK = "loopback"
_LOOPBACK_TEXTS = 5
_WARMING = 8  # tokens


@dataclass(frozen=True)
class Results:
    """All that was measured.

    Attributes:
        figures: of each system in each place, and of `cloud` on loopback.
        curves: ask rate against divergence, by what chooses whom to ask.
        systems: all of them.
        draft, target: names of the models.
        peers: other people's systems beside ours, over one link.
        no_peers: why there are none of these, in a sentence.
    """

    figures: list[Figures]
    curves: dict[str, list[Point]]
    systems: list[System]
    draft: str
    target: str
    peers: Sequence[Row] = ()
    no_peers: str = ""


class Run:
    """One run of the report.

    Args:
        directory: of the bundle.
        target: as `cloud-target serve` takes it.
        openings: of prompts.
        base: sampling.
        plan: how much is measured.
        tell: is told, in a few words, what is measured now.
    """

    def __init__(
        self,
        directory: Path,
        target: str,
        openings: Sequence[Sequence[int]],
        base: Settings,
        plan: Plan,
        tell: Callable[[str], None],
    ) -> None:
        self._directory, self._name, self._plan, self._tell = directory, target, plan, tell
        self._until = time.monotonic() + 60 * plan.minutes
        self._base = replace(base, max_tokens=plan.tokens)
        self._prompts = Prompts.of(openings)
        self._systems = systems_of(self._base)
        self._devices: dict[str, Device] = {}
        self._manifest = Bundle.load(directory).manifest

    def measure(self) -> Results:
        """Everything, in about the time of the plan."""
        steps = (0.0, SIMULATED)
        places = [Place(link, 1e3 * PROFILES[link].round_trip, step) for step in steps for link in self._plan.links]
        with ExitStack() as stack:
            with PacedTarget(self._name, 0.0) as target:
                peers, no_peers = self._beside_peers(target)
                scores: dict[str, Score | str] = {**ASKERS, PAPER: self._papers_score(target)}
                for system in self._systems:
                    if not system.is_colocated:
                        device = Device(self._directory, scores.get(system.name), system.tunes == "window")
                        self._devices[system.name] = stack.enter_context(device)
                others = self._prompts.to_choose(self._plan.choices)
                choices = choose(self._systems, self._devices, target.address, others, self._tell)
                allowance = Allowance.over(self._plan, places, self._until)
                (own,) = figures = list(self._loopback(target, 0.0))
                for place in places[: len(self._plan.links)]:
                    figures += self._place(place, target, choices, 0.0, allowance.next())
            added = max(SIMULATED - own.busy_ms / own.passes, 0.0)
            with PacedTarget(self._name, SIMULATED / 1e3) as target:
                figures += self._loopback(target, SIMULATED)
                for place in places[len(self._plan.links) :]:
                    figures += self._place(place, target, choices, added, allowance.next())
        return Results(
            figures, choices.curves, self._systems, self._manifest.name, target.name, peers=peers, no_peers=no_peers
        )

    def _papers_score(self, target: PacedTarget) -> Score:
        """The paper's verifier, fitted on texts of the target."""
        self._tell("the paper's verifier")
        documents = []
        with Device(self._directory) as device:
            device.connect(target.address)
            for prompt in self._prompts.to_choose(self._plan.fitted):
                text = device.write(prompt.ids, prompt.seeded(self._base, mode=Mode.CLOUD))
                documents.append(np.array([*prompt.ids, *text.ids]))
        draft, checkpoint = str(self._directory / "draft.onnx"), str(find_directory(self._name))
        with redirect_stderr(StringIO()):  # its bars would run through the lines that tell what is measured
            return paper_score(draft, self._manifest.context, checkpoint, documents, self._base.sampling)

    def _loopback(self, target: PacedTarget, step_ms: float) -> Iterator[Figures]:
        """The stream of `cloud` without a relay."""
        place = Place(LOOPBACK, 0.0, step_ms)
        self._tell(named(place))
        (system,) = (system for system in self._systems if system.name == CLOUD)
        writer = self._on_device(system, target, target.address, system.settings, None, "")
        prompts = self._prompts.to_report(min(_LOOPBACK_TEXTS, self._plan.prompts_at(place)))
        yield from summed_up(place, [writer], take_turns([writer], prompts, self._until))

    def _beside_peers(self, target: PacedTarget) -> tuple[list[Row], str]:
        """Other people's systems, or why none can be tried."""
        try:
            rows = compare(
                self._directory,
                (self._name, target),
                None,
                [prompt.ids for prompt in self._prompts.to_report(self._plan.beside_peers)],
                self._plan.tokens,
                [PROFILES[self._plan.typical_link]],
                self._plan.minutes * PEERS_SHARE,
                self._tell,
            )
        except InputError as error:
            return [], str(error)
        return rows, ""

    def _place(
        self, place: Place, target: PacedTarget, choices: Choices, added_ms: float, until: float
    ) -> list[Figures]:
        """All systems in one place; a pass takes so much longer than one of the target as it is."""
        self._tell(named(place))
        profile = PROFILES[place.link]
        prompts = self._prompts.to_report(self._plan.prompts_at(place))
        warming = self._prompts.to_choose(1)[0]
        with ExitStack() as stack:
            address = stack.enter_context(relay_process(profile, target.address))
            writers = []
            for system in self._systems:
                if system.is_colocated:
                    beside = stack.enter_context(Colocated(target.address, self._directory, system.settings))
                    reader = stack.enter_context(Reader(stack.enter_context(relay_process(profile, beside.address))))
                    writers.append(_beside(system, target, beside, reader, warming))
                else:
                    settled = choices.settled(system, place.round_trip_ms + added_ms)
                    writers.append(self._on_device(system, target, address, *settled))
            return summed_up(place, writers, take_turns(writers, prompts, until))

    def _on_device(
        self,
        system: System,
        target: PacedTarget,
        address: str,
        settings: Settings,
        threshold: float | None,
        chosen: str,
    ) -> Writer:
        """A device that asks the target at this address; it is connected, and everything is loaded."""
        device = self._devices[system.name]

        def write(prompt: Prompt) -> Text:
            return device.write(prompt.ids, prompt.seeded(settings), threshold)

        warming = self._prompts.to_choose(1)[0]
        device.connect(address)
        device.write(warming.ids, warming.seeded(settings, max_tokens=_WARMING), threshold)
        return Writer(
            system.name,
            system.is_ours,
            chosen,
            write,
            lambda: target.work,
            lambda: Peaks.of(None if system.score else device.peak_bytes, [target.peak_bytes]),
            None if settings.needs_target else lambda prompt: device.judge(prompt.ids, prompt.seeded(settings)),
        )


def _beside(system: System, target: PacedTarget, cloud: Colocated, reader: Reader, warming: Prompt) -> Writer:
    """An edge beside the target; the device only reads."""
    cloud.write(reader, warming.ids, warming.seed)
    return Writer(
        system.name,
        system.is_ours,
        "",
        lambda prompt: cloud.write(reader, prompt.ids, prompt.seed),
        lambda: target.work + Work(cpu_seconds=cloud.cpu_seconds),
        lambda: Peaks.of(None, [target.peak_bytes, cloud.peak_bytes]),
    )


def named(place: Place) -> str:
    """A place in words."""
    step = f", simulated step of {place.step_ms:g} ms" if place.step_ms else ""
    return f"{place.link}, {place.round_trip_ms:g} ms{step}"
