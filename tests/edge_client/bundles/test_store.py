"""The kept bundles: found by digest, by target and by name; checked and removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_client.bundles.store import BUNDLES, Store, bundles_directory
from shared.errors import BundleError, InputError
from shared.manifest import Domain
from tests.edge_client.bundles.offers import contents_of, files_of, made, tidy


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "bundles")


def added(store: Store, directory: Path) -> str:
    return store.add(directory, lambda: None).digest


def test_where_they_are(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(BUNDLES)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert bundles_directory() == tmp_path / ".local" / "share" / "tandem" / "bundles"
    monkeypatch.setenv("XDG_DATA_HOME", "~/data")
    assert bundles_directory() == tmp_path / "data" / "tandem" / "bundles"
    monkeypatch.setenv(BUNDLES, "~/mine")
    assert bundles_directory() == tmp_path / "mine"


def test_a_user_without_a_home_is_told_what_to_do(monkeypatch):
    for name in (BUNDLES, "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match="set TANDEM_BUNDLES to a directory"):
        bundles_directory()


@pytest.mark.parametrize("domains", [[], [Domain("letters"), Domain("poems")]])
def test_a_copy_is_the_bundle(store, tmp_path, domains):
    source = made(tmp_path / "one", domains=domains)
    digest = added(store, source)
    (kept,) = store.kept()
    assert (kept.digest, kept.name, kept.used, kept.addresses) == (digest, "one", None, ())
    assert kept.size == contents_of(source).size
    assert files_of(store.find(digest)) == files_of(source)
    assert len(files_of(source)) == 4 + len(domains)
    store.verify(kept.directory)


@pytest.mark.parametrize("name", ["draft.onnx", "manifest.json", "verifier-letters.onnx"])
def test_a_file_that_changed_is_found(store, tmp_path, name):
    added(store, made(tmp_path / "one", domains=[Domain("letters")]))
    (kept,) = store.kept()
    path = kept.directory / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BundleError):
        store.verify(kept.directory)


def test_a_target_finds_what_was_added_for_it_or_came_from_it(store, tmp_path):
    """What a bundle says of itself is no reason to use one target's bundle for another target."""
    mine = added(store, made(tmp_path / "one", target_fingerprint="f"))
    assert store.of_target("f", "a:1") == mine
    assert store.of_target("g", "a:1") is None
    assert store.of_target("", "a:1") is None
    theirs = made(tmp_path / "two", "two", target_fingerprint="g", target_name="claims to be yours")
    theirs.rename(store.place / contents_of(theirs).digest)
    assert store.of_target("g", "b:1") is None
    digest = next(one.digest for one in store.kept() if one.name == "two")
    store.uses.note("evil:1", digest)
    assert store.of_target("g", "b:1") is None
    assert store.of_target("g", "evil:1") == digest


def test_an_address_finds_what_it_was_last_met_with(store, tmp_path):
    one, two = (added(store, made(tmp_path / name, name)) for name in ("one", "two"))
    assert store.of_address("a:1") is None
    store.uses.note("a:1", one)
    store.uses.note("a:1", two)
    store.uses.note("b:1", one)
    assert (store.of_address("a:1"), store.of_address("b:1")) == (two, one)
    assert [(kept.digest, kept.addresses) for kept in store.kept()] == [(one, ("b:1",)), (two, ("a:1",))]
    store.remove(store.find(two))
    assert store.of_address("a:1") is None


def test_names_that_are_meant(store, tmp_path):
    one, two = (added(store, made(tmp_path / name, name)) for name in ("one", "two"))
    added(store, made(tmp_path / "again", "two", size=100))
    assert store.named(one).digest == store.named(one[:4].upper()).digest == store.named("one").digest == one
    for words in ("two", one[:3], "", "../one"):
        with pytest.raises(InputError, match=r"under '.*'; give the digest"):
            store.named(words)
    assert store.named(two[:12]).digest == two


def test_only_digests_are_looked_for(store, tmp_path):
    made(store.place / "one")
    made(tmp_path / "outside")
    assert store.kept() == []
    for digest in ("one", "../outside", "", "."):
        assert store.find(digest) is None


def test_removed_it_is_gone(store, tmp_path):
    digest = added(store, made(tmp_path / "one"))
    store.uses.note("a:1", digest)
    store.remove(store.find(digest))
    assert tidy(store.place) == []
    known = store.uses.read()
    assert (known.addresses, known.used, known.added) == ({}, {}, set())
    with pytest.raises(InputError, match="cannot remove"):
        store.remove(store.place / digest)
