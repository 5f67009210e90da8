"""The offered bundle: opened once, held against the target, and never sent when it has changed."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_target.bundles.offered import SENT_BYTES, OfferedBundle
from cloud_target.engine.interface import Description
from edge_client.testing import scripted_manifest
from shared.contents import NAMES
from shared.errors import BundleError, ProtocolError, TargetRefused
from shared.manifest import DRAFT_DATA, Domain
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.bundles.offers import VOCABULARY, files_of, made

TARGET = Description("scripted", "scripted", "scripted", VOCABULARY, "float32", "cpu", 1)


@pytest.fixture
def directory(tmp_path) -> Path:
    return made(tmp_path / "bundle", size=200_000)


@pytest.fixture
def bundle(directory) -> Iterator[OfferedBundle]:
    bundle = OfferedBundle(directory)
    yield bundle
    bundle.close()


def whole(bundle: OfferedBundle, name: str, offset: int = 0) -> bytes:
    parts = []
    while chunk := bundle.read(name, offset):
        assert len(chunk) <= SENT_BYTES
        parts.append(chunk)
        offset += len(chunk)
    return b"".join(parts)


def test_it_gives_out_its_files(bundle, directory):
    assert {name: whole(bundle, name) for name in NAMES} == files_of(directory)
    assert whole(bundle, "draft.onnx", 199_990) == (directory / "draft.onnx").read_bytes()[199_990:]
    assert bundle.is_intact


def test_it_gives_out_weights_that_lie_apart_and_none_that_the_manifest_does_not_know(tmp_path):
    apart = replace(scripted_manifest(VOCABULARY).draft, apart=True)
    with closing(OfferedBundle(made(tmp_path / "apart", draft=apart))) as bundle:
        assert whole(bundle, DRAFT_DATA) == (tmp_path / "apart" / DRAFT_DATA).read_bytes()
    (made(tmp_path / "one") / DRAFT_DATA).write_bytes(b"left by somebody")
    with closing(OfferedBundle(tmp_path / "one")) as bundle:
        assert {file.name for file in bundle.contents.files} == set(NAMES)


def test_it_gives_out_verifiers_of_domains_and_none_that_the_manifest_does_not_know(tmp_path):
    directory = made(tmp_path / "bundle", domains=[Domain("letters")])
    (directory / "verifier-poems.onnx").write_bytes(b"left by somebody")
    bundle = OfferedBundle(directory)
    names = {file.name for file in bundle.contents.files}
    assert names == {*NAMES, "verifier-letters.onnx"}
    for name in names:
        assert whole(bundle, name) == (directory / name).read_bytes()
    asked = wire.FetchBundleRequest(digest=bytes.fromhex(bundle.contents.digest), file="verifier-poems.onnx")
    with pytest.raises(ProtocolError, match="no such file"):
        bundle.see_that_it_can_be_sent(asked)
    (directory / "verifier-poems.onnx").unlink()
    assert bundle.is_intact
    (directory / "verifier-letters.onnx").unlink()
    assert not bundle.is_intact
    bundle.close()


def test_it_must_have_been_made_for_the_target(bundle):
    bundle.check(TARGET)
    with pytest.raises(BundleError, match=r"was made for scripted .* and this target is scripted"):
        bundle.check(replace(TARGET, fingerprint="another"))
    for other in ({"tokenizer_fingerprint": "another"}, {"vocabulary": 5}):
        with pytest.raises(BundleError, match="has another tokenizer"):
            bundle.check(replace(TARGET, **other))


def test_one_that_is_missing_or_damaged_is_refused(directory, tmp_path):
    with pytest.raises(BundleError, match="there is no bundle"):
        OfferedBundle(tmp_path / "nothing")
    (directory / "verifier.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match="not the file that the manifest describes"):
        OfferedBundle(directory)
    (directory / "verifier.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks verifier\.onnx"):
        OfferedBundle(directory)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"zzzz")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))


def replaced(path: Path) -> None:
    other = path.with_name("other")
    shutil.copy2(path, other)
    other.replace(path)


@pytest.mark.parametrize("change", [overwrite, replaced, Path.unlink, lambda path: os.truncate(path, 5)])
@pytest.mark.parametrize("name", NAMES)
def test_a_change_on_disk_is_noticed_and_told_once(bundle, directory, caplog, change: Callable[[Path], None], name):
    assert bundle.read("draft.onnx", 0)
    change(directory / name)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with pytest.raises(TargetRefused, match="was changed on disk since it started"):
                bundle.read("draft.onnx", 0)
            assert not bundle.is_intact
    assert len(caplog.records) == 1


def test_other_files_beside_it_are_nobodys_business(bundle, directory):
    (directory / "README.md").write_text("more")
    assert bundle.is_intact


def test_what_cannot_be_sent(bundle):
    digest = bytes.fromhex(bundle.contents.digest)
    bundle.see_that_it_can_be_sent(wire.FetchBundleRequest(digest=digest, file="draft.onnx", offset=199_999))
    for file in ("../bundle/draft.onnx", "/etc/passwd", "", "README.md", "draft.onnx\0"):
        with pytest.raises(ProtocolError, match="no such file"):
            bundle.see_that_it_can_be_sent(wire.FetchBundleRequest(digest=digest, file=file))
    for offset in (200_000, (1 << 64) - 1):
        with pytest.raises(ProtocolError, match="ask for less"):
            bundle.see_that_it_can_be_sent(wire.FetchBundleRequest(digest=digest, file="draft.onnx", offset=offset))
    for other in (b"", b"x" * 32):
        with pytest.raises(TargetRefused, match="another bundle"):
            bundle.see_that_it_can_be_sent(wire.FetchBundleRequest(digest=other, file="draft.onnx"))


def test_a_closed_one_gives_out_nothing(bundle):
    bundle.close()
    bundle.close()
    assert not bundle.is_intact
    with pytest.raises(TargetRefused, match="shuts down"):
        bundle.read("draft.onnx", 0)
