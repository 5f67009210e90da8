"""Going back: only to what is better, twice at most, and never where nobody could."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.bundles.probation import Probation
from edge_client.bundles.standing import Record
from edge_client.bundles.store import Store
from edge_client.bundles.trials import Trials
from edge_client.promise.trial import SAMPLE_TOKENS, kind_of
from edge_client.settings import Settings
from edge_client.usage.audit_counts import AuditCounts
from tests.edge_client.bundles.offers import made, wrote

ADDRESS = "gpu.example:50051"
SETTINGS = Settings()
KIND = kind_of(SETTINGS) or ""


class Device:
    """A device that met a target with one bundle, and now goes over to another one.

    Attributes:
        one, two: digests of the bundles.
        present: that of the one which is used.
        told: to the user.
    """

    def __init__(self, place: Path, usual: float = 0.1, target: str = "new", **changes: object) -> None:
        self.store = Store(place / "bundles")
        self.one = self.store.add(made(place / "one"), lambda: None).digest
        self.two = self.store.add(made(place / "two", "two", **changes), lambda: None).digest
        self.trials, self.told = Trials(), []
        self.probation = Probation(self.trials, self.told.append)
        wrote(self.trials, Record(self.one, target, KIND), usual, 40, ADDRESS)
        self.store.uses.note(ADDRESS, self.one)
        self.probation.begin(self.store, ADDRESS, self.two, self.one, "new")
        self.present = self.two

    def write(self, tokens: int, needed: int) -> bool:
        """Whether the bundle has to change after a text."""
        counts = AuditCounts(tokens, tokens, needed)
        self.probation.wrote(ADDRESS, self.present, "new", SETTINGS, counts)
        next_one = self.probation.see_to(self.store, ADDRESS)
        if next_one is not None:
            one = self.store.uses.read().set_aside.get(ADDRESS)
            self.present = one.instead if one else self.two
            assert next_one == self.present
        return next_one is not None


@pytest.mark.slow
@given(st.floats(0, 0.6), st.floats(0, 0.6), st.floats(0, 1), st.booleans(), st.integers(0, 1 << 30))
def test_nothing_flaps_whatever_bundles_are_worth(usual, one_now, two_now, is_updated, seed):
    """`usual` is what the older one needed so far; with an updated target it needs something else by now."""
    chance = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as scratch:
        device = Device(Path(scratch), usual, "old" if is_updated else "new")
        needs = {device.one: one_now if is_updated else usual, device.two: two_now}
        changes = []
        for text in range(1000):
            if device.write(SAMPLE_TOKENS, int(chance.binomial(SAMPLE_TOKENS, needs[device.present]))):
                changes.append((text, device.present))
        assert len(changes) == len(device.told) <= (2 if is_updated else 1)
        if two_now <= usual:
            assert changes == []
        if two_now >= 4 * usual + 0.15:
            assert [bundle for _, bundle in changes][:1] == [device.one]
            assert changes[0][0] * SAMPLE_TOKENS <= 4000
        if len(changes) == 2:  # the older one was looked at, and is the worse one with this target
            assert device.present == device.two
            assert needs[device.one] > two_now
        elif changes and is_updated:
            assert needs[device.one] < 1.5 * two_now + 0.25, "what is far worse is found in its turn"


def test_it_is_told_in_a_sentence_what_is_set_aside_and_why(tmp_path):
    device = Device(tmp_path, 0.1)
    while not device.write(64, 32):
        assert device.told == []
    (told,) = device.told
    assert told == (
        f"the bundle two needs the target for 50 % of the tokens, and the one before it needed it for 9 %: it is set "
        f"aside for {ADDRESS}, and texts are written with one again. `edge-client bundle pull` takes it back"
    )
    (kept,) = [one for one in device.store.kept() if one.set_aside]
    assert (kept.digest, kept.set_aside) == (device.two, (ADDRESS,))
    assert device.store.of_address(ADDRESS) == device.one
    assert device.store.of_target("scripted", ADDRESS) == device.one


def test_where_the_older_one_has_other_tokens_it_is_not_gone_back_to(tmp_path):
    device = Device(tmp_path, 0.1, tokenizer_fingerprint="another")
    assert not any(device.write(64, 32) for _ in range(50))
    assert device.store.uses.read().set_aside == {}
    (told,) = device.told
    assert told.endswith("that one cannot be gone back to, for it is gone, or has other tokens")


def test_where_the_older_one_is_gone_it_is_not_gone_back_to(tmp_path):
    device = Device(tmp_path, 0.1)
    device.store.remove(device.store.find(device.one))
    assert not any(device.write(64, 32) for _ in range(50))
    assert len(device.told) == 1


def test_what_the_user_takes_back_is_not_on_trial_again(tmp_path):
    device = Device(tmp_path, 0.1)
    while not device.write(64, 32):
        pass
    device.store.uses.favour(ADDRESS, device.two)
    device.probation.begin(device.store, ADDRESS, device.two, device.one, "new")
    device.present = device.two
    assert device.trials.case(ADDRESS) is None
    assert not any(device.write(64, 64) for _ in range(50))
    assert device.store.uses.read().set_aside == {}


@pytest.mark.parametrize("settings", [Settings(mode="exact"), Settings(mode="auto"), Settings(regex="a+")])
def test_texts_that_say_nothing_do_not_count(tmp_path, settings):
    device = Device(tmp_path, 0.1)
    before = device.trials.case(ADDRESS)
    device.probation.wrote(ADDRESS, device.two, "new", settings, AuditCounts(64, 64, 64))
    device.probation.wrote(ADDRESS, device.two, "new", Settings(), AuditCounts())
    assert device.trials.case(ADDRESS) == before


def test_errors_count_as_much_as_questions(tmp_path):
    device = Device(tmp_path, 0.1)
    before = AuditCounts(64, 64, 4, off_typical=2, off_strict=9)
    device.probation.wrote(ADDRESS, device.two, "new", Settings(), before)
    found = device.trials._known.needs[Record(device.two, "new", KIND)]
    assert (found.samples, found.mean) == (1, 6 / 64)
