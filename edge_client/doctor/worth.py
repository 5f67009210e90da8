"""Whether splitting pays here: the forecasts of mode `auto`, from what was just measured."""

from __future__ import annotations

from collections.abc import Iterator

from edge_client.auto.chooser import Chooser
from edge_client.auto.explain import prospects
from edge_client.bundles.bundle import Bundle
from edge_client.doctor.remote import Remote
from edge_client.promise.beginning import Beginning, agreement_of, asked_of
from edge_client.settings import Prefer, Settings
from shared.config import Mode
from shared.findings import Finding, ok, warn
from shared.manifest import Manifest


def worth(remote: Remote, step: float | None) -> Iterator[Finding]:
    """What a token would take in each mode that asks this target, and so whether the device is of use to it.

    Args:
        remote: its target, which has been measured.
        step: of the draft, seconds; None where it was not measured.
    """
    if remote.description is None or (bundle := remote.bundle) is None or step is None:
        return
    if not (remote.pace.steps or remote.pace.told):
        yield warn("splitting", "nobody can tell whether it pays, for the target does not say what its passes take")
        return
    remote.pace.drafted(step, 1)
    chooser = _chooser(remote, bundle)
    pays, sentence = prospects(chooser)
    values = {mode.value: chooser.forecast(mode).seconds for mode in chooser.tokens}
    if pays:
        yield ok("splitting", sentence, pays=True, **values)
    else:
        yield warn(
            "splitting",
            f"{sentence}; use mode cloud, or mode auto, which would find that out",
            pays=False,
            **values,
        )


def _chooser(remote: Remote, bundle: Bundle) -> Chooser:
    """Who would decide in `auto`, if these were all texts that were ever written."""
    settings, manifest = remote.settings, bundle.manifest
    modes: tuple[Mode, ...] = (Mode.EXACT, Mode.CLOUD)
    asks = 0.0
    if settings.budget > 0:
        modes, asks = (Mode.SPRINT, *modes), ask_rate(manifest, settings, remote.fits)
    agreement = agreement_of(manifest.doubts, settings.sampling)
    return Chooser(remote.pace, (), Prefer.SPEED, modes, 0, settings.window_of(Mode.SPRINT), asks, agreement)


def ask_rate(manifest: Manifest, settings: Settings, fits: bool) -> float:
    """The share of tokens that `sprint` is expected to ask about in the long run, as mode `auto` has it."""
    if fits:
        found = asked_of(manifest.calibration, settings.criterion, settings.sampling, settings.budget)
        if found is not None:
            return found
    beginning = Beginning.of(manifest, settings.criterion, settings.sampling, fits, lambda: 0.0)
    return beginning.ask_rate(beginning.budget(settings.budget).threshold)
