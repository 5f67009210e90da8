"""A run is gone on with by the command that began it, and by no other."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.cli import parse_args
from cloud_target.distil.cli import _EXAMPLES
from cloud_target.distil.settings import Settings, check_same_run
from shared.errors import InputError

PATHS = st.sampled_from(["a.txt", "/data/b c.txt", "sub/d.txt"]).map(Path)
COUNTS = st.integers(1, 10**9)
SETTINGS = st.builds(
    Settings,
    target=st.sampled_from(["pocket", "runs/target", "owner/name"]),
    corpus=st.lists(PATHS, min_size=1, max_size=3).map(tuple),
    out=PATHS,
    start=st.none() | st.just("runs/small"),
    layers=st.none() | st.integers(1, 99),
    hidden=st.none() | st.integers(1, 9999),
    dev=st.lists(PATHS, max_size=2).map(tuple),
    minutes=st.none() | st.integers(1, 999).map(float),
    tokens=st.none() | COUNTS,
    own_tokens=COUNTS,
    corpus_tokens=COUNTS,
    held_out_tokens=COUNTS,
    batch_tokens=COUNTS,
    peak=st.sampled_from([1e-3, 3e-4]),
    evaluations=st.integers(1, 99),
    work=st.none() | PATHS,
    seed=st.integers(0, 9),
    chat=st.booleans(),
    device=st.sampled_from(["cpu", "cuda"]),
)


def parsed(line: str) -> Settings:
    given = vars(parse_args(shlex.split(line)[1:]))
    names = {field.name for field in fields(Settings)}
    values: dict[str, Any] = {name: value for name, value in given.items() if name in names}
    return Settings(**values | {"corpus": tuple(values["corpus"]), "dev": tuple(values["dev"])})


@given(settings=SETTINGS)
def test_the_command_that_goes_on_is_understood_as_the_same_settings(settings: Settings) -> None:
    assert parsed(settings.command()) == settings


@given(settings=SETTINGS)
def test_the_command_on_the_card_tells_no_directory_of_this_machine(settings: Settings) -> None:
    assert "/data" not in settings.command(shown=True)
    assert parsed(settings.command(shown=True)).determining() == settings.determining()


@pytest.mark.parametrize("line", [line for line in _EXAMPLES.replace("\\\n", "").splitlines() if "distil" in line])
def test_examples_are_taken_by_the_parser(line: str) -> None:
    found = parsed(line.strip())
    assert found.corpus or found.chat


@given(
    settings=SETTINGS,
    other=SETTINGS,
    name=st.sampled_from(["layers", "hidden", "tokens", "minutes", "own_tokens", "seed"]),
)
def test_a_run_with_another_setting_is_refused_by_its_name(settings: Settings, other: Settings, name: str) -> None:
    old, changed = settings.determining(), replace(settings, **{name: getattr(other, name)})
    if changed == settings:
        check_same_run(old, changed.determining(), Path("runs"))
        return
    with pytest.raises(InputError, match=f"begun with (no )?--{name.replace('_', '-')}"):
        check_same_run(old, changed.determining(), Path("runs"))


def test_another_device_or_place_is_no_other_run() -> None:
    settings = Settings("pocket", (Path("a.txt"),), Path("draft"))
    check_same_run(settings.determining(), replace(settings, device="cuda").determining(), Path("runs"))
    with pytest.raises(InputError, match="another CORPUS"):
        check_same_run({"CORPUS": ["1"]}, {"CORPUS": ["2"]}, Path("runs"))
    with pytest.raises(InputError, match="begun with another --from"):
        check_same_run({"--from": "0" * 64}, {}, Path("runs"))


@pytest.mark.parametrize(
    ("options", "why"),
    [([], "there is nothing to learn from"), (["--chat", "--dev", "a.txt"], "on conversations, not on --dev")],
)
def test_what_goes_not_together_is_told(options: list[str], why: str) -> None:
    arguments = parse_args(["distil", "--target", "pocket", "--out", "draft", *options])
    with pytest.raises(InputError, match=why):
        arguments.run(arguments)
