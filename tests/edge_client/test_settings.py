"""Settings: one home of every default, strings as good as enums, and what is out of range named."""

from __future__ import annotations

from dataclasses import fields

import pytest

from edge_client.settings import EXACT_WINDOW, SPRINT_WINDOW, Options, Settings
from shared.config import Coupling, Criterion, Mode, Sampling
from shared.errors import InputError


def test_strings_become_what_they_name():
    settings = Settings(mode="exact", criterion="strict", coupling="residual", stop="\n")
    assert settings == Settings(mode=Mode.EXACT, criterion=Criterion.STRICT, coupling=Coupling.RESIDUAL, stop=("\n",))
    assert Settings(stop=["a", "b"]).stop == ("a", "b")


def test_sampling_has_one_default():
    assert Settings().sampling == Sampling()
    assert Settings(temperature=0, top_k=3, top_p=0.5, seed=9).sampling == Sampling(0, 3, 0.5, 9)


@pytest.mark.parametrize(
    ("given", "mode", "window"),
    [
        ({}, Mode.SPRINT, SPRINT_WINDOW),
        ({"budget": 0}, Mode.EXACT, EXACT_WINDOW),
        ({"mode": "exact"}, Mode.EXACT, EXACT_WINDOW),
        ({"mode": "exact", "window": 3}, Mode.EXACT, 3),
        ({"mode": "local", "budget": 0}, Mode.LOCAL, SPRINT_WINDOW),
    ],
)
def test_what_a_mode_makes_of_them(given, mode, window):
    settings = Settings(**given)
    assert (settings.effective_mode, settings.effective_window) == (mode, window)


def test_an_override_changes_what_it_names_and_nothing_else():
    changed = Settings(seed=3).override(mode="cloud", max_tokens=7)
    assert changed == Settings(seed=3, mode=Mode.CLOUD, max_tokens=7)
    with pytest.raises(InputError, match="there is no option 'tokens'"):
        changed.override(tokens=3)


def test_keywords_are_typed_as_the_settings_are():
    assert list(Options.__annotations__) == [field.name for field in fields(Settings)]


def test_every_option_is_described():
    described = Settings.__doc__
    for field in fields(Settings):
        assert field.name in described
