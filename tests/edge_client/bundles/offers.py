"""Bundles that are offered, and ways to them on which things go wrong."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_client.bundles.bundle import Bundle
from edge_client.target.client import TargetClient
from edge_client.testing import (
    LoopbackTransport,
    ScriptedTarget,
    byte_tokenizer,
    random_script,
    scripted_bundle,
    scripted_manifest,
)
from shared.contents import Contents, present
from shared.errors import LinkBroken
from shared.manifest import read_manifest, write_manifest
from tests.edge_client.clients import client_of

VOCABULARY = byte_tokenizer().get_vocab_size()
SCRIPT = random_script(VOCABULARY)


def made(directory: Path, name: str = "one", size: int = 2_000, **changes: object) -> Path:
    """A bundle whose graphs are nothing, for a target with the fingerprint "scripted"; `size` is the largest file's."""
    directory.mkdir(parents=True)
    chance = np.random.default_rng(sum(name.encode()))
    manifest = replace(scripted_manifest(VOCABULARY), name=name, **changes)
    for number, file in enumerate(manifest.files):
        (directory / file).write_bytes(chance.bytes(max(1, size // (number + 1))))
    write_manifest(directory, manifest)
    return directory


def loaded(directory: Path, threads: int = 1) -> Bundle:
    """In the place of `Bundle.load`: its manifest and digests are real, its models are scripts."""
    return replace(scripted_bundle(SCRIPT), manifest=read_manifest(directory))


def contents_of(directory: Path) -> Contents:
    return Contents.of(directory, read_manifest(directory))


def files_of(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in present(directory)}


def target_of(directory: Path | None, fingerprint: str = "scripted", name: str = "scripted") -> ScriptedTarget:
    return ScriptedTarget(SCRIPT, VOCABULARY, name=name, fingerprint=fingerprint, bundle=directory)


@dataclass(frozen=True)
class Fault:
    """What happens to one call: after so many bytes a bit is turned, the call breaks, or more comes than there is."""

    flipped: int | None = None
    cut: int | None = None
    more: bytes = b""
    ends_well: bool = False  # where it is cut


class FaultyTransport(LoopbackTransport):
    """Calls that send a bundle meet the next fault of a plan, and none when that is used up.

    Attributes:
        calls: (file, offset) of each, in order.
        sent: bytes, in all.
    """

    def __init__(self, service: ScriptedTarget, plan: Iterable[Fault] = (), chunk: int = 97) -> None:
        super().__init__(service)
        self.plan: Iterator[Fault] = iter(plan)
        self.calls: list[tuple[str, int]] = []
        self.sent = 0
        self._chunk = chunk

    def fetch(self, digest: bytes, file: str, offset: int, timeout: float) -> Generator[bytes]:
        self.calls.append((file, offset))
        fault = next(self.plan, Fault())
        data = bytearray(b"".join(super().fetch(digest, file, offset, timeout)))
        if fault.flipped is not None:
            data[fault.flipped % len(data)] ^= 1
        data += fault.more
        whole = len(data) if fault.cut is None else min(fault.cut, len(data))
        for begin in range(0, whole, self._chunk):
            chunk = bytes(data[begin : min(begin + self._chunk, whole)])
            self.sent += len(chunk)
            yield chunk
        if fault.cut is not None and not fault.ends_well:
            raise LinkBroken("the stream was cut, as planned")


def client(transport: LoopbackTransport) -> TargetClient:
    return client_of(transport)


class Interrupted(FaultyTransport):
    """Ctrl-C comes after so many bytes."""

    def __init__(self, service: ScriptedTarget, after: int) -> None:
        super().__init__(service)
        self._after = after

    def fetch(self, digest: bytes, file: str, offset: int, timeout: float) -> Generator[bytes]:
        for chunk in super().fetch(digest, file, offset, timeout):
            yield chunk
            if self.sent >= self._after:
                raise KeyboardInterrupt


def tidy(place: Path) -> list[str]:
    """What is in a place, but for the note of uses."""
    with suppress(FileNotFoundError):
        return sorted(one.name for one in place.iterdir() if not one.name.startswith("uses."))
    return []
