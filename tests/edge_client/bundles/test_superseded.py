"""Old bundles go when a new one has come: only those that nobody has added, uses, or may go back to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.bundles.following import FRESH
from edge_client.bundles.holding import alone_with, hold
from edge_client.bundles.store import Store
from edge_client.bundles.superseded import KEEP_DAYS, remove_superseded
from edge_client.bundles.uses import SetAside, Uses
from tests.edge_client.bundles.offers import contents_of, loaded, made, tidy, wait_for_errands
from tests.edge_client.bundles.world import ADDRESS, World

DAY = 86400.0
NOW = 1e9


def kept(store: Store, source: Path, name: str, used: float | None, address: str | None = None) -> str:
    """The digest of a bundle that a target has sent."""
    directory = made(source / name, name, size=50)
    digest = contents_of(directory).digest
    store.place.mkdir(exist_ok=True)
    directory.rename(store.place / digest)
    uses = Uses(store.uses.path, lambda: NOW if used is None else used)
    if used is not None:
        uses.note(address or f"{name}:1", digest)
        if address is None:
            uses.forget_address(f"{name}:1")
    return digest


state = st.sampled_from(["", "added", "met", "needed", "instead", "held"])


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(0, 90), state), min_size=1, max_size=5), st.sampled_from([None, "0", "12.5", "60"]))
def test_what_goes_is_what_nobody_wants(bundles, days):
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        if days is not None:
            patch.setenv(KEEP_DAYS, days)
        store, needed, handles, stays, told = Store(Path(scratch) / "bundles"), set(), [], set(), []
        for number, (age, state) in enumerate(bundles):
            digest = kept(store, Path(scratch), f"b{number}", NOW - DAY * age, "met:1" if state == "met" else None)
            if state == "added":
                store.uses.add(digest)
            elif state == "needed":
                needed.add(digest)
            elif state == "instead":
                store.uses.set_aside(f"{number}:1", SetAside("x", digest, 0.5, 0.1))
            elif state == "held":
                handles.append(hold(store.place / digest))
            if (state and state != "met") or DAY * age < DAY * float(days or 30):
                stays.add(digest)
        stays |= {digest for digest in store.uses.read().addresses.values()}
        remove_superseded(store, needed, told.append, lambda: NOW)
        assert set(tidy(store.place)) == stays
        assert len(told) == len(bundles) - len(stays)
        for handle in handles:
            os.close(handle)


def test_it_is_told_in_a_sentence(tmp_path):
    store, told = Store(tmp_path / "bundles"), []
    kept(store, tmp_path, "old", NOW - 31 * DAY)
    remove_superseded(store, (), told.append, lambda: NOW)
    (sentence,) = told
    assert sentence.startswith("the older bundle old (")
    assert sentence.endswith(
        "was not used for 30 days, and is removed; TANDEM_BUNDLES_KEEP_DAYS says how long they are kept"
    )


def test_one_that_was_never_used_is_as_old_as_its_directory(tmp_path):
    store = Store(tmp_path / "bundles")
    digest = kept(store, tmp_path, "old", None)
    os.utime(store.place / digest, (NOW, NOW))
    remove_superseded(store, (), lambda _: None, lambda: NOW + 29 * DAY)
    assert tidy(store.place) == [digest]
    remove_superseded(store, (), lambda _: None, lambda: NOW + 31 * DAY)
    assert tidy(store.place) == []


@pytest.mark.parametrize("days", ["a month", "-1", "nan"])
def test_days_that_are_none_are_told_and_nothing_goes(tmp_path, monkeypatch, days):
    monkeypatch.setenv(KEEP_DAYS, days)
    store, told = Store(tmp_path / "bundles"), []
    digest = kept(store, tmp_path, "old", 0.0)
    remove_superseded(store, (), told.append, lambda: NOW)
    assert tidy(store.place) == [digest]
    assert told == [
        f"no old bundle is removed: TANDEM_BUNDLES_KEEP_DAYS must be a number of days, 0 or more, not {days!r}"
    ]


def test_several_hold_one_and_nobody_holds_one_that_is_removed(tmp_path):
    directory = made(tmp_path / "one")
    first, second = hold(directory), hold(directory)
    assert first is not None
    assert second is not None
    os.close(first)
    with alone_with(directory) as is_alone:
        assert not is_alone
    os.close(second)
    with alone_with(directory) as is_alone:
        assert is_alone
        assert hold(directory) is None
    assert hold(tmp_path / "none") is None


def test_an_edge_holds_what_it_has_loaded_and_removes_what_is_superseded(monkeypatch, tmp_path):
    """From one to four: one and two are too old, but a text of another edge is written with two."""
    monkeypatch.setenv(KEEP_DAYS, "0")
    world = World(monkeypatch, tmp_path)
    world.serve(made(tmp_path / "one"))
    with world.edge() as edge:
        edge.generate("Tom")
        for name in ("two", "three", "four"):
            world.target.offer(made(tmp_path / name, name))
            world.clock.sleep(FRESH + 1)
            edge.generate("Tom")
            wait_for_errands()
            edge.generate("Tom")
            assert edge.bundle.manifest.name == name
            if name == "two":
                other = world.edge()
                other.generate("Tom")
        assert {one.name for one in world.store.kept()} == {"two", "three", "four"}
        assert sum("the older bundle one" in told for told in world.told) == 1
        other.close()
        del other


def test_a_bundle_lets_go_of_its_directory_when_it_is_gone(monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    world.serve(made(tmp_path / "one"))
    world.used()
    (one,) = world.store.kept()
    assert loaded(one.directory).manifest.name == "one"
    with world.edge() as edge:
        edge.generate("Tom")
        with alone_with(one.directory) as is_alone:
            assert not is_alone
    del edge
    import gc

    gc.collect()
    with alone_with(one.directory) as is_alone:
        assert is_alone
    assert ADDRESS in one.addresses


@pytest.mark.parametrize("is_text", [True, False])
def test_a_kept_one_that_is_given_is_in_use(monkeypatch, tmp_path, is_text):
    """By its directory, as a configuration file may name it."""
    world = World(monkeypatch, tmp_path)
    digest = kept(world.store, tmp_path, "mine", NOW)
    directory = world.store.place / digest
    with world.edge(bundle=str(directory) if is_text else directory) as edge:
        assert edge.generate("Tom", mode="local").usage.tokens == 5
        remove_superseded(world.store, (), lambda _: None, lambda: NOW * 10)
        assert tidy(world.store.place) == [digest]
    assert world.store.uses.read().used[digest] > NOW
    del edge
    remove_superseded(world.store, (), lambda _: None)
    assert tidy(world.store.place) == [digest], "it was used a moment ago"


def test_one_that_is_given_from_elsewhere_is_no_kept_one(monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    digest = kept(world.store, tmp_path, "mine", NOW)
    copy = made(tmp_path / "elsewhere" / digest, "mine")
    with world.edge(bundle=copy) as edge, alone_with(copy) as is_alone:
        assert is_alone
        assert edge.generate("Tom", mode="local").usage.tokens == 5
    assert world.store.uses.read().used[digest] == NOW
