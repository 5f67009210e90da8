"""Texts of a trial: which are written, when it ends, and what it leaves behind."""

from __future__ import annotations

from collections import Counter

import pytest

from edge_client.doctor import trial
from edge_client.doctor.trial import LONGER, Trial
from edge_client.settings import Settings
from edge_client.testing import (
    LoopbackTransport,
    ManualClock,
    ScriptedTarget,
    blurred,
    random_script,
    scripted_bundle,
)
from edge_client.usage.caps import Caps
from edge_client.usage.ledger import Ledger
from edge_client.usage.prices import Prices
from shared.config import Mode
from shared.errors import LinkBroken
from tests.edge_client.virtual import remembered, slow

SCRIPT = remembered(random_script(261))
BUNDLE = scripted_bundle(remembered(blurred(SCRIPT, 0.5)), context=256)
NEAR = 0.001


@pytest.fixture(autouse=True)
def fakes(monkeypatch, tmp_path):
    """Longer links are no longer, openings are few, and each device has a place of its own."""
    monkeypatch.setattr(trial, "OPENINGS", trial.OPENINGS[:2])
    farther = trial.Farther
    monkeypatch.setattr(trial, "Farther", lambda transport, address, seconds: farther(transport, address, 0.0))
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "state"))


def a_trial(
    *,
    here: float = NEAR,
    limit: float = 1e9,
    step: float | None = None,
    clock: ManualClock | None = None,
    transport: LoopbackTransport | None = None,
    caps: Caps | None = None,
    **options: object,
) -> Trial:
    transport = transport or LoopbackTransport(ScriptedTarget.of(BUNDLE.manifest, SCRIPT))
    settings, now = Settings(**options), (clock or ManualClock()).now
    return Trial(transport, "gpu:1", BUNDLE, settings, here, step, Prices(price_out=1.0), caps, limit, now)


def run(made: Trial) -> Trial:
    made.run(lambda *_: None)
    return made


def test_every_opening_is_written_in_every_mode_over_every_link_but_the_stream_over_one():
    made = run(a_trial())
    assert made.trouble == ""
    ways = Counter((one.mode, one.round_trip) for one in made.samples)
    links = (NEAR, *LONGER)
    assert set(ways) == {(Mode.CLOUD, NEAR), *((mode, link) for mode in (Mode.SPRINT, Mode.EXACT) for link in links)}
    assert max(ways.values()) <= len(trial.OPENINGS)
    plain = next(one for one in made.samples if one.mode is Mode.CLOUD)
    assert plain.calls == plain.tokens == plain.amount.tokens_out
    assert plain.amount.tokens_in == 0  # the prompt's


def test_links_that_are_no_longer_than_this_one_are_left_out():
    assert {one.round_trip for one in run(a_trial(here=0.16)).samples} == {0.16}
    assert {one.round_trip for one in run(a_trial(here=0.1)).samples} == {0.1, 0.2}


def test_without_a_budget_nothing_is_led_by_the_device():
    assert {one.mode for one in run(a_trial(budget=0.0)).samples} == {Mode.EXACT, Mode.CLOUD}


def test_with_a_slow_target_texts_are_shorter():
    assert max(one.tokens for one in run(a_trial(step=0.01, limit=75.0)).samples) == 64
    assert max(one.tokens for one in run(a_trial(step=0.5, limit=75.0)).samples) == 16


def test_it_ends_when_its_time_is_up_in_the_middle_of_a_text():
    clock = ManualClock()
    target = ScriptedTarget.of(BUNDLE.manifest, slow(SCRIPT, clock, 1.0))
    made = run(a_trial(limit=40.0, clock=clock, transport=LoopbackTransport(target)))
    assert made.trouble == ""
    assert clock.now() < 45.0
    [one] = made.samples  # cut, but long enough to say something
    assert 16 <= one.tokens < 64
    assert target.texts == {}  # nothing is left there


def test_a_target_that_goes_away_ends_it_with_what_there_is():
    class Mortal(ScriptedTarget):
        left = 9

        def stream(self):
            self.left -= 1
            if self.left < 0:
                raise LinkBroken("gone")
            return super().stream()

    made = a_trial(transport=LoopbackTransport(Mortal.of(BUNDLE.manifest, SCRIPT)))
    made._settings = made._settings.override(timeout=0.1)
    run(made)
    assert made.trouble
    assert made.samples


def test_what_it_takes_is_counted_and_caps_hold():
    made = run(a_trial())
    ledger = Ledger.at()
    [(payee, figures)] = ledger.page(ledger.today()).items()
    assert payee.address == "gpu:1"
    assert figures.texts == made.begun
    assert figures.shown >= sum(one.tokens for one in made.samples)
    over = run(a_trial(caps=Caps(cap_calls=1)))
    assert "cap" in over.trouble
    assert not over.samples
