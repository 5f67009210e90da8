"""What is in a bundle: its files, and a digest of the whole that anybody can compute."""

from __future__ import annotations

import hashlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contents import NAMES, BundleFile, Contents
from shared.errors import BundleError
from shared.manifest import read_manifest
from tests.edge_client.bundles.offers import contents_of, made

files = st.tuples(st.integers(1, 1 << 40), st.binary(min_size=32, max_size=32).map(bytes.hex))


@given(st.lists(files, min_size=4, max_size=4), st.permutations(NAMES))
def test_the_digest_is_of_the_files_in_whatever_order(facts, names):
    made_of = [BundleFile(name, *fact) for name, fact in zip(NAMES, facts, strict=True)]
    contents = Contents("one", tuple(made_of))
    shuffled = Contents("two", tuple(sorted(made_of, key=lambda file: names.index(file.name))))
    assert contents.digest == shuffled.digest
    changed = [BundleFile(made_of[0].name, made_of[0].size + 1, made_of[0].sha256), *made_of[1:]]
    assert Contents("one", tuple(changed)).digest != contents.digest


def test_it_is_what_is_on_the_disk(tmp_path):
    contents = contents_of(made(tmp_path / "one"))
    for file in contents.files:
        data = (tmp_path / "one" / file.name).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert contents.size == sum(file.size for file in contents.files)


@pytest.mark.slow
def test_the_digest_can_be_had_with_the_tools_of_a_shell(tmp_path):
    """As docs/bundles.md says."""
    made(tmp_path / "one")
    command = (
        'for f in draft.onnx manifest.json tokenizer.json verifier.onnx; do echo "$f $(wc -c < $f | tr -d " ") '
        '$(sha256sum < $f | cut -d" " -f1)"; done | sha256sum | cut -d" " -f1'
    )
    found = subprocess.run(["sh", "-c", command], cwd=tmp_path / "one", capture_output=True, text=True, check=True)
    assert found.stdout.strip() == contents_of(tmp_path / "one").digest


def test_a_file_that_is_gone_is_a_sentence(tmp_path):
    manifest = read_manifest(made(tmp_path / "one"))
    (tmp_path / "one" / "draft.onnx").unlink()
    with pytest.raises(BundleError, match=r"cannot read .*draft\.onnx"):
        Contents.of(tmp_path / "one", manifest)
