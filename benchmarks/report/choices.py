"""What is chosen for the baselines, on prompts that nothing is reported on: thresholds, and windows for each link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.report.asker import Point, setting_at
from benchmarks.report.device import Device, Text
from benchmarks.report.prompts import Prompt
from benchmarks.report.systems import PAPER, PAPERS_THRESHOLD, System
from edge_client.settings import Settings
from edge_client.usage.audit_counts import AuditCounts
from shared.config import Criterion, Mode

WINDOWS = (2, 4, 8, 16)
BUDGETS = {Criterion.TYPICAL: (0.003, 0.01, 0.02, 0.05), Criterion.STRICT: (0.02, 0.05, 0.1, 0.15)}
# Tokens to ask about, as shares of all: each score is tried with the thresholds that come to this in the target's text.
SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
OURS = "ours, {}"


@dataclass(frozen=True)
class Trial:
    """One text without a link: time a token, milliseconds, and calls a token."""

    ms: float
    calls: float


@dataclass(frozen=True)
class Choices:
    """What was found.

    Attributes:
        curves: ask rate against divergence, by what chooses whom to ask.
        thresholds: by the system that has one.
        trials: by the system that has a window, and by the window.
    """

    curves: dict[str, list[Point]] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=lambda: {PAPER: PAPERS_THRESHOLD})
    trials: dict[str, dict[int, list[Trial]]] = field(default_factory=dict)

    def settled(self, system: System, slower_ms: float) -> tuple[Settings, float | None, str]:
        """Settings and threshold where a call takes so much longer than without a link, and what was chosen."""
        if system.name in self.trials:
            window = best_window(self.trials[system.name], slower_ms)
            return replace(system.settings, window=window), None, f"window {window}"
        threshold = self.thresholds.get(system.name)
        return system.settings, threshold, "" if threshold is None else f"threshold {threshold:.3g}"


def choose(
    systems: Sequence[System],
    devices: dict[str, Device],
    address: str,
    prompts: Sequence[Prompt],
    tell: Callable[[str], None],
) -> Choices:
    """Try out all that has to be chosen, on a target without a link.

    Args:
        systems: the default first; by name, their `devices`.
        address: of the target.
        tell: is told what is tried.
    """
    found, default = Choices(), systems[0]
    for criterion in Criterion:
        tell(f"ask rate against divergence, ours by the {criterion} criterion")
        found.curves[OURS.format(criterion)] = _our_curve(devices[default.name], address, prompts, default, criterion)
    ours = found.curves[OURS.format(default.settings.criterion)]
    for system in systems:
        if not system.score and system.tunes != "window":
            continue
        tell(f"choices for {system.name}")
        device = devices[system.name]
        device.connect(address)
        if system.tunes == "window":
            found.trials[system.name] = _trials(device, prompts, system.settings)
        else:
            curve = found.curves[system.name] = _score_curve(device, prompts, system.settings)
            if system.tunes == "threshold":
                (like,) = (point for point in ours if point.setting == default.settings.budget)
                found.thresholds[system.name] = setting_at(curve, "typical", like.typical)
    return found


def best_window(trials: dict[int, list[Trial]], slower_ms: float) -> int:
    """The fastest where a call takes so much longer: over a link a text takes the same calls as without."""
    return min(trials, key=lambda window: sum(trial.ms + trial.calls * slower_ms for trial in trials[window]))


def _trials(device: Device, prompts: Sequence[Prompt], settings: Settings) -> dict[int, list[Trial]]:
    """Texts with every window."""
    return {
        window: [_trial(device.write(prompt.ids, prompt.seeded(settings, window=window))) for prompt in prompts]
        for window in WINDOWS
    }


def _trial(text: Text) -> Trial:
    return Trial(text.total_ms / len(text.ids), text.summary.calls / len(text.ids))


def _our_curve(
    device: Device, address: str, prompts: Sequence[Prompt], system: System, criterion: Criterion
) -> list[Point]:
    """Where each budget of a criterion ends up, by a device that begins anew for each."""
    points = []
    for budget in BUDGETS[criterion]:
        device.connect(address)
        settings = replace(system.settings, mode=Mode.SPRINT, criterion=criterion, budget=budget)
        points.append(_point(budget, [device.write(prompt.ids, prompt.seeded(settings)) for prompt in prompts]))
    return points


def _score_curve(device: Device, prompts: Sequence[Prompt], settings: Settings) -> list[Point]:
    """Where each threshold of a score ends up; the lowest asks about everything."""
    device.scores()
    for prompt in prompts:
        device.write(prompt.ids, prompt.seeded(settings), -np.inf)
    seen = np.array(device.scores())
    points = [Point(float(seen.min()) - 1e-6, 1.0, 0.0, 0.0)]
    for share in SHARES:
        threshold = float(np.quantile(seen, 1 - share))
        texts = [device.write(prompt.ids, prompt.seeded(settings), threshold) for prompt in prompts]
        points.append(_point(threshold, texts))
    return points


def _point(setting: float, texts: Sequence[Text]) -> Point:
    counts = sum((text.counts for text in texts), AuditCounts())
    typical, strict = (counts.rate(criterion) or 0.0 for criterion in (Criterion.TYPICAL, Criterion.STRICT))
    return Point(setting, counts.ask_rate, typical, strict)
