"""Offers of bundles there and back, and all that none may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contents import NAMES, BundleFile, Contents
from shared.domains import MOST_DOMAINS, is_domain, verifier_file
from shared.errors import ProtocolError
from shared.manifest import DRAFT_DATA
from shared.wire.bundles import decode_contents, encode_contents
from shared.wire.v1 import target_pb2 as wire

names = st.text(max_size=200).filter(str.isprintable)
facts = st.tuples(st.integers(1, (1 << 64) - 1), st.binary(min_size=32, max_size=32).map(bytes.hex))
domains = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True).filter(is_domain)
apart = st.sampled_from([[], [DRAFT_DATA]])
files = st.tuples(apart, st.lists(domains, unique=True, max_size=MOST_DOMAINS)).flatmap(
    lambda more: st.permutations([*NAMES, *more[0], *map(verifier_file, more[1])])
)
contents = st.builds(
    lambda name, order, facts: Contents(
        name, tuple(BundleFile(file, *fact) for file, fact in zip(order, facts, strict=False))
    ),
    names,
    files,
    st.lists(facts, min_size=5 + MOST_DOMAINS, max_size=5 + MOST_DOMAINS),
)
OFFER = Contents("one", tuple(BundleFile(name, 10, bytes(range(32)).hex()) for name in NAMES))


@given(contents)
def test_there_and_back(one):
    message = wire.OfferedBundle.FromString(encode_contents(one).SerializeToString())
    assert decode_contents(message) == one


def changed(change: Callable[[wire.OfferedBundle], object], is_signed: bool = True) -> wire.OfferedBundle:
    """An offer with something wrong, under the digest that follows from its files all the same."""
    message = encode_contents(OFFER)
    change(message)
    if is_signed:
        files = tuple(BundleFile(file.name, file.size, file.sha256.hex()) for file in message.files)
        message.digest = bytes.fromhex(Contents("", files).digest)
    return message


def more(*names: str) -> Callable[[wire.OfferedBundle], object]:
    return lambda message: message.files.extend(wire.BundleFile(name=name, size=1, sha256=b"x" * 32) for name in names)


@pytest.mark.parametrize(
    "names",
    [
        [f"verifier-{number}.onnx" for number in range(MOST_DOMAINS + 1)],
        ["verifier-a.onnx"] * 2,
        [DRAFT_DATA] * 2,
        ["verifier.onnx.data"],
        ["verifier-../../x.onnx"],
        ["verifier-a/b.onnx"],
        ["verifier-A.onnx"],
        ["verifier-general.onnx"],
        ["verifier-.onnx"],
        ["verifier-a.onnx.exe"],
        ["verifier-a.onnx\n"],
        ["notes.txt"],
    ],
)
def test_beside_the_files_of_every_bundle_there_are_weights_apart_and_verifiers_of_domains_only(names):
    with pytest.raises(ProtocolError, match="other files than"):
        decode_contents(changed(more(*names)))


def renamed(name: str) -> Callable[[wire.OfferedBundle], object]:
    return lambda message: setattr(message.files[1], "name", name)


@pytest.mark.parametrize(
    "name",
    [
        "../../.ssh/authorized_keys",
        "/etc/passwd",
        "draft.onnx\0",
        "",
        "DRAFT.ONNX",
        "a/draft.onnx",
        "..",
        "manifest.json",
    ],
)
def test_no_other_name_is_taken(name):
    with pytest.raises(ProtocolError, match="other files than"):
        decode_contents(changed(renamed(name)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda message: message.files.pop(), "other files"),
        (lambda message: message.files.append(message.files[0]), "other files"),
        (lambda message: message.ClearField("files"), "other files"),
        (lambda message: setattr(message.files[0], "size", 0), "no size"),
        (lambda message: setattr(message.files[0], "sha256", b"x" * 31), "no SHA-256"),
        (lambda message: setattr(message, "name", "x" * 201), "name is no line"),
        (lambda message: setattr(message, "name", "a\nb"), "name is no line"),
        (lambda message: setattr(message, "name", "\x1b[2J"), "name is no line"),
    ],
)
def test_offers_that_are_none(change, why):
    with pytest.raises(ProtocolError, match=why):
        decode_contents(changed(change))


@pytest.mark.parametrize("digest", [b"", b"x" * 32])
def test_a_digest_that_is_not_that_of_the_files(digest):
    with pytest.raises(ProtocolError, match="another digest"):
        decode_contents(changed(lambda message: setattr(message, "digest", digest), is_signed=False))
