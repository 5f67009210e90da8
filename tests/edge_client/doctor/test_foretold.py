"""What is foretold of links, from texts over three of them, is what the loops take there by a clock that costs none."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.bundles.bundle import Bundle
from edge_client.doctor import trial
from edge_client.doctor.foretold import ROUND_TRIPS, Expectation, Foretold, never_falling
from edge_client.doctor.trial import Sample, Trial
from edge_client.doctor.worth import ask_rate
from edge_client.edge import Edge
from edge_client.settings import Settings
from edge_client.testing import ManualClock, ScriptedTarget, blurred, random_script, scripted_bundle
from edge_client.usage.amount import Amount
from edge_client.usage.prices import Prices
from shared.config import Criterion, Mode
from tests.edge_client.virtual import VirtualTransport, remembered, slow, stop_the_clocks

HERE = 0.002
SETTINGS = Settings(budget=0.05, criterion=Criterion.STRICT, max_tokens=48)
SPLIT = (Mode.SPRINT, Mode.EXACT)
UNKNOWN = Expectation(window=32, ask_rate=0.1, agreement=None, step=None)


class World:
    """A pair whose draft and passes take some milliseconds by the clock, and links of every length.

    Args:
        blur: how unlike the target the draft is.
        row: what each further token of a pass takes, milliseconds.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, draft: float, step: float, row: float, blur: float) -> None:
        self.clock, script = ManualClock(), random_script(261)
        stop_the_clocks(monkeypatch, self.clock)
        drafts = slow(remembered(blurred(script, blur)), self.clock, draft / 1e3)
        self.bundle: Bundle = scripted_bundle(drafts, lambda step, draw: 1 - exp(draw.log_q))
        self.target = ScriptedTarget.of(self.bundle.manifest, remembered(script))
        self.step = step / 1e3
        self._row = row / 1e3
        monkeypatch.setattr(trial, "OPENINGS", trial.OPENINGS[:2])
        monkeypatch.setattr(trial, "_MOST", 48)
        monkeypatch.setattr(trial, "Farther", lambda transport, address, seconds: self.link(HERE + seconds))

    def link(self, round_trip: float) -> VirtualTransport:
        return VirtualTransport(self.target, self.clock, round_trip, lambda rows: self.step + (rows - 1) * self._row)

    def foretold(self) -> Foretold:
        made = Trial(None, "", self.bundle, SETTINGS, HERE, self.step, None, None, 1e9, self.clock.now)
        made.run(lambda *_: None)
        assert not made.trouble
        expected = ask_rate(self.bundle.manifest, SETTINGS, True)
        return Foretold(made.samples, Expectation(32, expected, None, self.step))

    def gains(self, round_trip: float) -> dict[Mode, float]:
        """How fast the modes really are against the plain stream, on texts that nothing is foretold from."""
        taken = {}
        with Edge(
            transport=self.link(round_trip), bundle=self.bundle, memory=False, ledger=False, clock=self.clock
        ) as edge:
            for mode in (Mode.CLOUD, *SPLIT):
                usages = [
                    edge.generate(opening, **vars(SETTINGS) | {"mode": mode, "seed": 100}).usage
                    for opening in trial.OPENINGS[:2]
                ]
                taken[mode] = sum(one.times.total_ms for one in usages) / sum(one.tokens for one in usages)
        return {mode: taken[Mode.CLOUD] / taken[mode] for mode in SPLIT}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draft", "step", "row", "blur"),
    [
        pytest.param(3.0, 25.0, 0.0, 0.3, id="a draft that is quick beside its target"),
        pytest.param(10.0, 30.0, 1.5, 1.0, id="one that is neither quick nor alike"),
    ],
)
def test_whether_a_mode_pays_is_foretold_wherever_that_is_clear(monkeypatch, draft, step, row, blur):
    world = World(monkeypatch, draft, step, row, blur)
    foretold = world.foretold()
    trips = ROUND_TRIPS[1::2]
    cells = {mode: foretold.cells(mode, trips) for mode in SPLIT}
    clear = 0
    for i, trip in enumerate(trips):
        for mode, gain in world.gains(trip).items():
            found = cells[mode][i].gain
            assert 0.6 < found / gain < 1.6, (mode, trip)
            if not 0.9 <= gain <= 1.1:
                clear += 1
                assert (found > 1.0) == (gain > 1.0), (mode, trip)
    assert clear >= 3  # else nothing was shown


def sample(mode: Mode, trip: float, seconds: float, calls: int = 50, asked: int = 0) -> Sample:
    amount = Amount(calls, 100, 50, 2_000_000)
    return Sample(mode, trip, 51, trip + 0.01, 50 * seconds, asked, calls, None, 0, amount, (100, 0.1))


def test_on_a_measured_link_it_is_what_was_measured_and_between_two_it_is_between():
    samples = [sample(Mode.CLOUD, 0.01, 0.040)] * 9
    samples += [sample(Mode.EXACT, 0.01, 0.020, 20)] * 9 + [sample(Mode.EXACT, 0.21, 0.080, 40)] * 9
    foretold = Foretold(samples, UNKNOWN)
    assert foretold.modes == (Mode.EXACT, Mode.CLOUD)
    trips = (0.21, 0.01, 0.11)
    far, near, between = (foretold.seconds(Mode.EXACT, trip) for trip in trips)
    assert (near, far) == (pytest.approx(0.020, rel=0.1), pytest.approx(0.080, rel=0.15))
    assert near < between < far
    assert [foretold.seconds(Mode.CLOUD, trip) for trip in trips] == pytest.approx([0.040] * 3, rel=0.05)
    assert [cell.calls for cell in foretold.cells(Mode.EXACT, trips)] == pytest.approx([40 / 51, 20 / 51, 30 / 51])
    assert all(cell.money is None for cell in foretold.cells(Mode.EXACT, trips))
    # Beyond them it is as at the nearest; and 1,000 tokens take 1,000 times as much of everything.
    prices = Prices(price_call=0.5, price_out=1e6, price_in=1e6, price_second=1.0)
    [cell] = foretold.cells(Mode.EXACT, [0.5], prices)
    assert cell.money == pytest.approx(1000 / 51 * (0.5 * 40 + 100 + 50 + 2.0), rel=1e-3)


def test_the_wait_for_the_first_token_is_that_of_the_link_but_not_where_the_device_leads():
    samples = [sample(mode, 0.01, 0.010) for mode in (Mode.SPRINT, Mode.CLOUD)]
    foretold = Foretold(samples, UNKNOWN)
    near, far = foretold.cells(Mode.CLOUD, [0.0, 0.2])
    assert 128 / far.rate - 128 / near.rate == pytest.approx(0.2)
    assert foretold.cells(Mode.CLOUD, [0.2])[0].gain == 1.0


@given(st.lists(st.floats(0.01, 10.0), max_size=9))
def test_times_never_fall_and_their_sum_stays(values):
    found = never_falling(values)
    assert found == sorted(found)
    assert sum(found) == pytest.approx(sum(values))
    assert never_falling(sorted(values)) == sorted(values)
