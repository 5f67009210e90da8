"""Writing bundles: by one at a time, whole or not at all."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_client.bundles import writing
from edge_client.bundles.writing import PARTIAL, STALE, write
from shared.contents import NAMES
from shared.errors import ProtocolError
from tests.edge_client.bundles.offers import contents_of, files_of, made, tidy


@pytest.fixture
def source(tmp_path) -> Path:
    return made(tmp_path / "source")


def copy_of(source: Path):
    def fill(partial: Path) -> None:
        for name in NAMES:
            (partial / name).write_bytes((source / name).read_bytes())

    return fill


def test_several_at_once_write_it_once(source, tmp_path):
    place, contents = tmp_path / "bundles", contents_of(source)
    filled, waited, first = [], [], threading.Event()

    def fill(partial: Path) -> None:
        filled.append(partial)
        first.wait(30)
        copy_of(source)(partial)

    def waits() -> None:
        waited.append(1)
        if len(waited) == 3:
            first.set()

    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(write, place, contents, fill, waits) for _ in range(4)]
        assert {one.result(60) for one in found} == {place / contents.digest}
    assert len(filled) == 1
    assert len(waited) == 3
    assert tidy(place) == [contents.digest]
    assert files_of(place / contents.digest) == files_of(source)


def test_one_that_fails_leaves_it_to_those_that_wait(source, tmp_path):
    place, contents = tmp_path / "bundles", contents_of(source)
    waiting = threading.Event()

    def fail(partial: Path) -> None:
        waiting.wait(30)
        raise ProtocolError("it is not what it was")

    with ThreadPoolExecutor(2) as threads:
        began = threading.Event()
        bad = threads.submit(write, place, contents, lambda partial: (began.set(), fail(partial)), lambda: None)
        assert began.wait(30)
        good = threads.submit(write, place, contents, copy_of(source), waiting.set)
        with pytest.raises(ProtocolError):
            bad.result(60)
        assert files_of(good.result(60)) == files_of(source)
    assert tidy(place) == [contents.digest]


def test_a_file_that_is_missing_in_the_middle_is_no_bundle(source, tmp_path):
    def fill(partial: Path) -> None:
        copy_of(source)(partial)
        (partial / "verifier.onnx").unlink()

    with pytest.raises(ProtocolError, match=r"lacks verifier.onnx"):
        write(tmp_path / "bundles", contents_of(source), fill, lambda: None)
    assert tidy(tmp_path / "bundles") == []


def test_an_error_of_the_filler_that_is_a_missing_file_is_told(source, tmp_path):
    """It is not taken for a directory that somebody else has renamed."""

    def fill(partial: Path) -> None:
        (partial / "nothing").read_bytes()

    with pytest.raises(writing.BundleError, match="no such file"):
        write(tmp_path / "bundles", contents_of(source), fill, lambda: None)


def test_only_what_was_left_long_ago_is_removed(source, tmp_path):
    old, young = tmp_path / f"{PARTIAL}old", tmp_path / f"{PARTIAL}young"
    for directory in (old, young):
        directory.mkdir()
        (directory / "draft.onnx").write_bytes(b"x")
    for path in (old / "draft.onnx", old):
        os.utime(path, (0, path.stat().st_mtime - STALE - 10))
    write(tmp_path, contents_of(source), copy_of(source), lambda: None)
    assert tidy(tmp_path) == sorted([young.name, contents_of(source).digest, "source"])


def test_what_is_removed_is_never_half_there(source, tmp_path, monkeypatch):
    kept = write(tmp_path / "bundles", contents_of(source), copy_of(source), lambda: None)
    seen = []
    monkeypatch.setattr(writing.shutil, "rmtree", lambda path: seen.append((path.name, kept.exists())))
    writing.remove(kept)
    ((name, was_there),) = seen
    assert name.startswith(PARTIAL)
    assert not was_there


def test_another_bundle_than_the_one_that_was_promised_is_not_kept(source, tmp_path):
    """Whole in itself, but not what the digest says: as when a directory changes while it is copied."""
    other = made(tmp_path / "other", "two")
    with pytest.raises(ProtocolError, match="not the one that was promised"):
        write(tmp_path / "bundles", contents_of(source), copy_of(other), lambda: None)
    assert tidy(tmp_path / "bundles") == []
