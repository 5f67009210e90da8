"""The check of one pair of models: where it pays to split, told before anybody relies on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from edge_client.bundles.bundle import Bundle
from edge_client.doctor.advice import Gain, advice
from edge_client.doctor.foretold import ROUND_TRIPS, TOKENS, Expectation, Foretold
from edge_client.doctor.remote import Remote
from edge_client.doctor.trial import Sample, Trial
from edge_client.doctor.worth import ask_rate
from edge_client.promise.beginning import agreement_of
from edge_client.settings import Settings
from edge_client.usage.caps import Caps
from edge_client.usage.prices import Prices
from shared.config import Mode
from shared.findings import Finding, ok, warn
from shared.manifest import Manifest

# Seconds that texts are written for, at most, and at least to be worth it.
LIMIT, _LEAST = 75.0, 5.0


@dataclass(frozen=True)
class Wanted:
    """How a pair is to be looked at.

    Attributes:
        prices, caps: see `Edge`.
        tell: is told how many texts of how many are written.
        seconds: says how many there are left for it.
    """

    prices: Prices
    caps: Caps
    tell: Callable[[int, int], None]
    seconds: Callable[[], float]


def pair(remote: Remote, wanted: Wanted) -> Iterator[Finding]:
    """Write texts in each mode, and say what each would give on links of every length.

    Args:
        remote: its target, which has been measured.
    """
    if remote.description is None or (bundle := remote.bundle) is None:
        return
    seconds = min(LIMIT, wanted.seconds())
    if seconds < _LEAST or not remote.pace.round_trip:
        yield warn("pair", "not measured: the checks before it took too long, or failed; run it again")
        return
    trial = Trial(
        remote.transport,
        remote.address,
        bundle,
        remote.settings,
        remote.pace.round_trip,
        remote.pace.step(Mode.CLOUD) if remote.pace.steps or remote.pace.told else None,
        wanted.prices,
        wanted.caps,
        seconds,
    )
    trial.run(wanted.tell)
    remote.texts += trial.begun
    modes = {one.mode for one in trial.samples}
    if Mode.CLOUD not in modes or len(modes) < 2:
        why = trial.trouble or "the target is too slow for it, or its texts end too soon"
        yield warn("pair", f"not measured: {why}")
        return
    if trial.trouble:
        yield warn("pair", f"it ended before its time ({trial.trouble}), so it rests on {len(trial.samples)} texts")
    yield _finding(remote, bundle, trial, wanted.prices)


def _finding(remote: Remote, bundle: Bundle, trial: Trial, prices: Prices) -> Finding:
    settings, here = remote.settings, remote.pace.round_trip
    foretold = Foretold(trial.samples, expectation(bundle.manifest, settings, remote.fits, remote.pace.told))
    round_trips = (here, *ROUND_TRIPS)
    cells = {mode: foretold.cells(mode, round_trips, prices) for mode in foretold.modes}
    called = {Mode.SPRINT: f"sprint ({settings.criterion}, {100 * settings.budget:g} %)", Mode.EXACT: "exact"}
    gains = {
        called[mode]: Gain(found[0].gain, [cell.gain for cell in found[1:]])
        for mode, found in cells.items()
        if mode is not Mode.CLOUD
    }
    pays, sentence = advice(here, ROUND_TRIPS, gains)
    values = {
        "pays": pays,
        "here": here,
        "text_tokens": TOKENS,
        "currency": prices.currency,
        "modes": {
            mode.value: [{"round_trip": trip, **asdict(cell)} for trip, cell in zip(round_trips, found, strict=True)]
            for mode, found in cells.items()
        },
        "measured": measured(trial.samples, foretold.ask_rate),
    }
    return ok("pair", sentence, **values) if pays else warn("pair", sentence, **values)


def expectation(manifest: Manifest, settings: Settings, fits: bool, step: float | None) -> Expectation:
    """What is expected of texts before any is written.

    Args:
        fits: the bundle was calibrated for this very target.
        step: what that says that a pass takes, seconds.
    """
    return Expectation(
        settings.window_of(Mode.SPRINT),
        ask_rate(manifest, settings, fits),
        agreement_of(manifest.doubts, settings.sampling),
        step,
    )


def measured(samples: list[Sample], expected: float) -> dict[str, Any]:
    """What the forecasts rest on.

    Args:
        expected: share of the tokens that `sprint` is expected to ask about in the long run.
    """
    sprint, exact = ([one for one in samples if one.mode is mode] for mode in (Mode.SPRINT, Mode.EXACT))
    near = min((one.round_trip for one in exact), default=0.0)
    close = [one for one in exact if one.round_trip == near]
    runs = [one.run_length for one in sprint if one.run_length is not None]
    drafted, seconds = (sum(one.drafted[i] for one in samples) for i in (0, 1))
    return {
        "texts": len(samples),
        "tokens": sum(one.tokens for one in samples),
        "round_trips": sorted({one.round_trip for one in samples}),
        "asked": _share(sprint, lambda one: one.asked),
        "asked_in_the_long_run": expected if sprint else None,
        "run_length": fmean(runs) if runs else None,
        "guessed": _share(close, lambda one: one.confirmed),
        "tokens_a_pass": 1.0 / calls if (calls := _share(close, lambda one: one.calls)) else None,
        "draft_seconds": seconds / drafted if drafted else None,
        "pass_seconds": {mode.value: _pass_seconds(samples, mode) for mode in (Mode.SPRINT, Mode.EXACT, Mode.CLOUD)},
    }


def _share(samples: list[Sample], count: Callable[[Sample], float]) -> float | None:
    tokens = sum(one.tokens for one in samples)
    return sum(map(count, samples)) / tokens if tokens else None


def _pass_seconds(samples: list[Sample], mode: Mode) -> float | None:
    """Of the target, what a pass took for a mode; None where it does not say."""
    own = [one for one in samples if one.mode is mode]
    calls = sum(one.calls for one in own)
    return sum(one.amount.microseconds for one in own) / 1e6 / calls or None if calls else None
