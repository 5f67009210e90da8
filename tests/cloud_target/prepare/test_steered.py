"""The report's devices fare as real ones do: the edge's own loop, budget and memory, over scripts with these doubts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from cloud_target.prepare import steered as module
from cloud_target.prepare.steered import BEGINNINGS, NEW, WINDOW, Device, Steps, steered
from cloud_target.prepare.steered import WINDOWS_AHEAD as steered_ahead
from edge_client import Completion
from edge_client.decoding.questions import WINDOWS_AHEAD
from edge_client.inference.draft import Step
from edge_client.settings import SPRINT_WINDOW
from edge_client.testing import LoopbackTransport, ScriptedTarget, scripted_bundle, scripted_edge
from shared.calibration import Doubts
from shared.config import Criterion
from shared.draw import Draw
from shared.steering.recalibration import chance
from shared.steering.usual import Usual

pytestmark = pytest.mark.slow

LENGTH = 150  # of a text, tokens
VOCABULARY = 261
LETTERS = range(5 + ord("a"), 5 + ord("z") + 1)
# What becomes of a drafted token: the target's own; another, but a likely one; another, and an unlikely one.
STANDS, LIKELY, UNLIKELY = range(3)
USUAL = np.linspace(-7, -1, 64).round(3).tolist()


@pytest.fixture(autouse=True)
def all_beginnings(monkeypatch):
    monkeypatch.setattr(module, "BEGINNINGS", BEGINNINGS)


def made_up(texts: int, seed: int, length: int = LENGTH) -> tuple[np.ndarray, np.ndarray]:
    """Doubts below one half, and what becomes of the tokens; both ``[texts, length]``. The doubts are honest."""
    random = np.random.default_rng(seed)
    doubt = chance(random.normal(-3.5, 1.5, (texts, length)).clip(-7, -0.1).round(2))
    off = random.random(doubt.shape) < doubt
    return doubt, np.where(off, random.integers(1, 3, doubt.shape), STANDS)


def doubt_of(step: Step, draw: Draw) -> float:
    """What the draft leaves to other tokens; its logits are rounded, and so are the log-odds of the doubts."""
    return float(chance(np.log(np.expm1(-step.logits[0].astype(float))).round(2)))


def steps(doubt: np.ndarray, becomes: np.ndarray, criterion: Criterion) -> list[Steps]:
    falls = becomes != STANDS
    off = falls if criterion is Criterion.STRICT else becomes == UNLIKELY
    return [Steps(*map(np.ndarray.tolist, of_one)) for of_one in zip(doubt, off, falls, strict=True)]


class World:
    """A draft and a target that differ as they are told to, whatever stands in the text; at temperature 0.

    The first letter of a prompt says which text it is, and the length of a text at which token of it the draft is.
    """

    def __init__(self, doubt: np.ndarray, becomes: np.ndarray, seed: int = 0) -> None:
        self._doubt, self._becomes = doubt, becomes
        own = np.random.default_rng(seed).integers(0, len(LETTERS), doubt.shape)
        self._own, self._other = LETTERS.start + own, LETTERS.start + (own + 1) % len(LETTERS)

    def _at(self, text: Sequence[int]) -> tuple[int, int]:
        return LETTERS.index(text[0]), len(text) - 1

    def target(self, text: Sequence[int]) -> np.ndarray:
        place = self._at(text)
        logits = np.full(VOCABULARY, -30, np.float32)
        if place[1] < self._own.shape[1]:
            logits[self._own[place]] = 1
            if self._becomes[place] == LIKELY:
                logits[self._other[place]] = 0.5
        return logits

    def draft(self, text: Sequence[int]) -> np.ndarray:
        place = self._at(text)
        p = np.full(VOCABULARY, 1e-12)
        if place[1] < self._own.shape[1]:
            x = (self._own if self._becomes[place] == STANDS else self._other)[place]
            p[x], p[0] = 1 - self._doubt[place], self._doubt[place]
        return np.log(p).astype(np.float32)

    def write(self, criterion: Criterion, budget: float) -> list[Completion]:
        """All texts on one device that begins to know nothing."""
        spread = [Doubts(criterion, 0.0, 1.0, USUAL)]
        bundle = scripted_bundle(self.draft, doubt_of, doubts=spread)
        transport = LoopbackTransport(ScriptedTarget.of(bundle.manifest, self.target))
        options = {"temperature": 0.0, "top_p": 1.0, "criterion": criterion, "budget": budget, "max_tokens": LENGTH}
        with scripted_edge(bundle=bundle, transport=transport) as edge:
            return [edge.generate([letter], **options) for letter in LETTERS[: len(self._doubt)]]


@pytest.mark.parametrize("criterion", Criterion)
@pytest.mark.parametrize("budget", [0.005, 0.02, 0.1])
def test_a_device_asks_and_strays_as_a_real_one_text_by_text(criterion: Criterion, budget: float) -> None:
    doubt, becomes = made_up(12, seed=1)
    device = Device(budget, Usual(USUAL))
    found = [device.write(text) for text in steps(doubt, becomes, criterion)]
    real = [completion.audit.counts for completion in World(doubt, becomes).write(criterion, budget)]
    assert [counts.known for counts in real] == [LENGTH] * len(real)
    assert [int(shown.asked.sum()) for shown in found] == [counts.asked for counts in real]
    assert [int(shown.wrong.sum()) for shown in found] == [counts.off(criterion) for counts in real]


def test_the_window_is_that_of_a_device() -> None:
    assert (WINDOW, steered_ahead) == (SPRINT_WINDOW, WINDOWS_AHEAD)


def test_ten_new_devices_and_an_old_one() -> None:
    texts = steps(*made_up(30, seed=2), Criterion.STRICT)
    usual = Usual(USUAL)
    found = steered(texts, 0.02, usual, 0.1)
    assert found["budget"] == 0.02
    assert found["new"]["tokens"] == BEGINNINGS * NEW
    assert found["later"]["tokens"] == 30 * LENGTH - NEW
    device = Device(0.02, usual)
    asked = np.concatenate([device.write(text).asked for text in texts])
    assert found["later"]["ask_rate"] == pytest.approx(asked[NEW:].mean(), abs=1e-5)
    for rates in (found["new"], found["later"]):
        assert 0 < rates["divergence"] <= 0.02 + 2 * np.sqrt(0.02 / rates["tokens"])


def test_short_text_has_no_later() -> None:
    texts = steps(*made_up(2, seed=3), Criterion.TYPICAL)
    found = steered(texts, 0.1, Usual([0.1]), 0.1)
    assert found["later"] is None
    assert found["new"]["tokens"] == 2 * 2 * LENGTH


def test_who_asks_about_everything_gets_every_other_token_with_an_answer() -> None:
    stands = Steps([0.5] * 100, [False] * 100, [False] * 100)
    assert steered([stands], 0.02, Usual([0.5]), 0.0)["unaudited"] == {
        "tokens": 100,
        "ask_rate": 0.5,
        "divergence": 0.0,
    }
    assert steered([stands], 0.02, Usual([0.5]), 0.5)["unaudited"]["ask_rate"] == 0


def test_certain_and_uncertain_doubts() -> None:
    """Where nothing is doubted nothing is asked, and where everything is, everything."""
    sure, unsure = (Steps([doubt] * 200, [doubt > 0.5] * 200, [doubt > 0.5] * 200) for doubt in (0.0, 1.0))
    assert steered([sure], 0.02, Usual([0.0] * 64), 0.0)["new"]["ask_rate"] == 0
    assert steered([unsure], 0.02, Usual([1.0] * 64), 0.0)["new"] == {"tokens": 200, "ask_rate": 1.0, "divergence": 0.0}
