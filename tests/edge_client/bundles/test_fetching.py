"""Fetching: what is kept is byte for byte what was offered, or there is nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.bundles import writing
from edge_client.bundles.fetching import LARGEST, LARGEST_MANIFEST, fetch
from edge_client.target.outage import tell_nobody
from edge_client.target.retry import Retry
from edge_client.testing import ManualClock, scripted_manifest
from shared.contents import NAMES, BundleFile, Contents
from shared.errors import BundleError, InputError, ProtocolError, TargetRefused, TargetUnavailable
from shared.manifest import DRAFT_DATA, Domain
from tests.edge_client.bundles.offers import (
    VOCABULARY,
    Fault,
    FaultyTransport,
    Interrupted,
    client,
    contents_of,
    files_of,
    made,
    target_of,
    tidy,
)
from tests.edge_client.clients import client_of

FILES = [*NAMES, DRAFT_DATA, "verifier-letters.onnx"]


def ignore(contents: Contents, done: int) -> None:
    pass


def fetched(transport: FaultyTransport, place: Path, contents: Contents, progress=ignore) -> Path:
    return fetch(client(transport), contents, place, tell_nobody, progress)


@pytest.fixture(scope="module")
def offered(tmp_path_factory) -> Path:
    apart = replace(scripted_manifest(VOCABULARY).draft, apart=True)
    return made(tmp_path_factory.mktemp("offered") / "bundle", domains=[Domain("letters")], draft=apart)


faults = st.builds(
    Fault,
    st.none() | st.integers(0, 5_000),
    st.none() | st.integers(0, 3_000),
    st.sampled_from([b"", b"", b"x", b"y" * 500]),
    st.booleans(),
)
# What an earlier program, another one or a power cut may have left of each file.
left = st.dictionaries(
    st.sampled_from(FILES),
    st.tuples(st.integers(0, 3_000), st.booleans(), st.sampled_from([b"", b"zz"])),
    max_size=4,
)


@pytest.mark.slow
@given(st.lists(faults, max_size=12), left, st.integers(1, 400))
def test_what_is_kept_is_what_was_offered_or_nothing_is(offered, plan, remains, chunk):
    """Cuts, bits that turn, too much, and rests of earlier tries: in the end a good link gets it whole."""
    contents, original = contents_of(offered), files_of(offered)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "bundles"
        partial = place / f"{writing.PARTIAL}{contents.digest}"
        partial.mkdir(parents=True)
        for name, (length, is_damaged, more) in remains.items():
            data = bytearray(original[name][:length])
            if is_damaged and data:
                data[len(data) // 2] ^= 4
            (partial / name).write_bytes(bytes(data) + more)
        transport = FaultyTransport(target_of(offered), plan, chunk)
        for _ in range(len(plan) + 1):
            try:
                directory = fetched(transport, place, contents)
            except (ProtocolError, TargetUnavailable):
                assert contents.digest not in tidy(place)
                continue
            assert files_of(directory) == original
            assert tidy(place) == [contents.digest]
            assert sorted(one.name for one in directory.iterdir()) == sorted(FILES)
            break
        else:
            pytest.fail("a good link did not get it")


def test_an_interrupted_try_is_gone_on_with(offered, tmp_path):
    contents, place = contents_of(offered), tmp_path / "bundles"
    first = Interrupted(target_of(offered), after=contents.size * 2 // 3)
    with pytest.raises(KeyboardInterrupt):
        fetched(first, place, contents)
    assert tidy(place) == [f"{writing.PARTIAL}{contents.digest}"]
    second = FaultyTransport(target_of(offered))
    told = []
    directory = fetched(second, place, contents, lambda _, done: told.append(done))
    assert files_of(directory) == files_of(offered)
    assert first.sent + second.sent == contents.size
    assert told == sorted(told)
    assert told[-1] == contents.size
    assert tidy(place) == [contents.digest]


def test_what_is_kept_does_not_travel_again(offered, tmp_path):
    fetched(FaultyTransport(target_of(offered)), tmp_path, contents_of(offered))
    again = FaultyTransport(target_of(offered))
    fetched(again, tmp_path, contents_of(offered))
    assert again.calls == []
    assert tidy(tmp_path) == [contents_of(offered).digest]


def test_a_call_that_ends_early_is_gone_on_with_where_it_ended(offered, tmp_path):
    transport = FaultyTransport(target_of(offered), [Fault(cut=97 * 2), Fault(cut=97, ends_well=True)])
    fetched(transport, tmp_path, contents_of(offered))
    smallest = transport.calls[0][0]
    assert transport.calls[:3] == [(smallest, 0), (smallest, 194), (smallest, 291)]


def test_a_target_that_sends_nothing_is_given_up(offered, tmp_path):
    transport = FaultyTransport(target_of(offered), [Fault(cut=0, ends_well=True)] * 10_000)
    with pytest.raises(TargetUnavailable, match="cannot reach the target"):
        fetched(transport, tmp_path, contents_of(offered))


def test_more_than_was_offered_is_never_written(offered, tmp_path, monkeypatch):
    """Else a target could fill the disk."""
    written = []
    monkeypatch.setattr(os, "fsync", lambda handle: written.append(os.fstat(handle).st_size))
    transport = FaultyTransport(target_of(offered), [Fault(more=b"y" * 100_000)] * 9)
    with pytest.raises(ProtocolError, match=r"more of [\w.-]+ than the"):
        fetched(transport, tmp_path, contents_of(offered))
    assert transport.sent <= min(file.size for file in contents_of(offered).files) + 97
    assert written == []


def test_a_slow_link_is_no_dead_one(offered, tmp_path):
    """All of it takes far longer than the patience of a call that hears nothing."""
    transport = FaultyTransport(target_of(offered), [Fault(cut=97)] * 1000)
    clock, fetch_at_once = ManualClock(), transport.fetch

    def slowly(*asked):
        clock.sleep(20.0)
        yield from fetch_at_once(*asked)

    transport.fetch = slowly
    target = client_of(transport, clock)
    assert fetch(target, contents_of(offered), tmp_path, tell_nobody, ignore).is_dir()
    assert clock.now() > 10 * Retry().total


@pytest.mark.parametrize("rest", [b"", b"z" * 5_000])
def test_progress_is_told_of_what_is_there(offered, tmp_path, rest):
    """Also where an earlier try left something else, and too much."""
    contents = contents_of(offered)
    partial = tmp_path / f"{writing.PARTIAL}{contents.digest}"
    partial.mkdir()
    (partial / "draft.onnx").write_bytes(rest)
    told = []
    fetched(FaultyTransport(target_of(offered)), tmp_path, contents, lambda _, done: told.append(done))
    assert told[-1] == contents.size
    assert min(told) >= 0
    assert max(told) <= contents.size + len(rest)


@pytest.mark.parametrize("chunk", [b"", b"x" * (1 << 19)])
def test_chunks_that_the_contract_does_not_allow(offered, tmp_path, chunk):
    transport = FaultyTransport(target_of(offered))
    transport.fetch = lambda *_: (one for one in [chunk])
    with pytest.raises(ProtocolError, match="a chunk of"):
        fetched(transport, tmp_path, contents_of(offered))
    assert tidy(tmp_path) == []


def test_another_bundle_than_the_one_that_was_offered(offered, tmp_path):
    other = made(tmp_path / "other", "two")
    with pytest.raises(TargetRefused, match="another bundle"):
        fetched(FaultyTransport(target_of(other)), tmp_path / "bundles", contents_of(offered))


def test_files_that_are_as_promised_but_no_bundle(tmp_path):
    """The digests hold, and the manifest is of something else."""
    bundle = made(tmp_path / "bundle")
    target = target_of(bundle)
    (bundle / "manifest.json").write_text('{"format": 1}')
    target._files["manifest.json"] = (bundle / "manifest.json").read_bytes()
    digest = hashlib.sha256(b'{"format": 1}').hexdigest()
    files = tuple(
        BundleFile("manifest.json", 13, digest) if file.name == "manifest.json" else file
        for file in target._offered.files
    )
    target._offered = Contents("bad", files)
    place = tmp_path / "bundles"
    with pytest.raises(ProtocolError, match=r"what loopback:0 sent is not what it offered.*cannot be used"):
        fetched(FaultyTransport(target), place, target._offered)
    assert tidy(place) == []


def test_a_bundle_that_is_too_large_is_refused_before_a_byte_is_asked_for(offered, tmp_path, monkeypatch):
    transport, contents = FaultyTransport(target_of(offered)), contents_of(offered)
    monkeypatch.setenv(LARGEST, "1KB")
    with pytest.raises(BundleError, match="fetches 1000 B at most; set TANDEM_LARGEST_BUNDLE"):
        fetched(transport, tmp_path, contents)
    monkeypatch.setenv(LARGEST, "a lot")
    with pytest.raises(InputError, match="not an amount"):
        fetched(transport, tmp_path, contents)
    monkeypatch.delenv(LARGEST)
    huge = Contents("huge", tuple(BundleFile(file.name, 5 << 30, file.sha256) for file in contents.files))
    with pytest.raises(BundleError, match="30 GiB, and this device fetches 4 GiB at most"):
        fetched(transport, tmp_path, huge)
    files = [BundleFile(file.name, LARGEST_MANIFEST + 1, file.sha256) for file in contents.files]
    with pytest.raises(BundleError, match="more than any has"):
        fetched(transport, tmp_path, Contents("large", tuple(files)))
    assert transport.calls == []
    assert tidy(tmp_path) == []


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_full_disk_is_a_sentence_and_leaves_nothing(offered, tmp_path, monkeypatch, after):
    """The write that finds no room comes at any file."""
    synced = []

    def fsync(handle: int) -> None:
        if len(synced) == after:
            raise OSError(errno.ENOSPC, "No space left on device")
        synced.append(handle)

    place = tmp_path / "bundles"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(BundleError, match=r"cannot be kept in .*no space left on device.*TANDEM_BUNDLES"):
            fetched(FaultyTransport(target_of(offered)), place, contents_of(offered))
    assert tidy(place) == []
    fetched(FaultyTransport(target_of(offered)), place, contents_of(offered))


def test_a_disk_without_room_is_not_begun_to_be_filled(offered, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    transport = FaultyTransport(target_of(offered))
    with pytest.raises(BundleError, match="no space left"):
        fetched(transport, tmp_path / "bundles", contents_of(offered))
    assert transport.calls == []
    assert tidy(tmp_path / "bundles") == []


def test_a_place_that_cannot_be_written_to(offered, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match=r"cannot be kept in .*TANDEM_BUNDLES"):
        fetched(FaultyTransport(target_of(offered)), tmp_path / "file" / "below", contents_of(offered))
