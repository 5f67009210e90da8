"""Fetching the bundle that a target offers: every byte checked, and what an earlier try has left gone on with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from edge_client.bundles.writing import write
from shared.contents import MANIFEST, BundleFile, Contents
from shared.errors import BundleError, ProtocolError
from shared.sizes import parse_size, show_size

# In the environment: the largest bundle that is fetched, such as 8GiB.
LARGEST = "TANDEM_LARGEST_BUNDLE"
_LARGEST = 4 << 30
# Of what is read into memory as a whole before anything else can be said of it.
LARGEST_MANIFEST = 16 << 20

Progress = Callable[[Contents, int], None]


class Offering(Protocol):
    """Whoever sends a bundle, such as `edge_client.target.client.TargetClient`."""

    @property
    def address(self) -> str: ...

    def fetch(self, digest: str, file: BundleFile, offset: int, notify: Callable[[str], None]) -> Generator[bytes]: ...


def fetch(target: Offering, contents: Contents, place: Path, notify: Callable[[str], None], progress: Progress) -> Path:
    """Fetch a bundle into a place, if it is not there yet; returns its directory.

    Args:
        contents: what is offered.
        notify: is told, in a sentence, of what takes long.
        progress: is told how many bytes of it are there, again and again.

    Raises:
        BundleError: it is too large, or cannot be kept.
        ProtocolError: what came is not what was offered.
        TargetError: the target does not send it.
    """
    see_that_it_is_not_too_large(contents, target.address)
    done = 0

    def fill(directory: Path) -> None:
        nonlocal done
        for file in sorted(contents.files, key=lambda file: file.size):  # what can be wrong with small ones shows soon
            for came in _file(target, contents.digest, file, directory / file.name, notify):
                done += came
                progress(contents, done)

    def waits() -> None:
        notify(f"another program fetches the bundle {contents.name} just now; waiting for it")

    try:
        return write(place, contents, fill, waits)
    except ProtocolError as error:
        raise ProtocolError(f"what {target.address} sent is not what it offered: {error}") from error


def see_that_it_is_not_too_large(contents: Contents, address: str) -> None:
    """Refuse a bundle that is larger than this device wants, by what the offer says.

    Raises:
        BundleError: it is.
        InputError: the environment names no size.
    """
    most = parse_size(os.environ[LARGEST]) if os.environ.get(LARGEST) else _LARGEST
    if contents.size > most:
        raise BundleError(
            f"the bundle {contents.name} of {address} has {show_size(contents.size)}, and this device fetches "
            f"{show_size(most)} at most; set {LARGEST} to a larger size if you want it, or give a bundle of your own",
            options=("bundle",),
        )
    for file in contents.files:
        if file.name == MANIFEST and file.size > LARGEST_MANIFEST:
            raise BundleError(
                f"the manifest of the bundle that {address} offers has {show_size(file.size)}, more than any has; "
                "give a bundle of your own",
                options=("bundle",),
            )


def _file(target: Offering, digest: str, file: BundleFile, path: Path, notify: Callable[[str], None]) -> Generator[int]:
    """Have a file as it is offered; yields how many bytes more of it are there, which may be fewer than before."""
    there = path.stat().st_size if path.exists() else 0
    while True:
        found, came = hashlib.sha256(), there
        if there:
            with open(path, "rb") as earlier:
                found = hashlib.file_digest(earlier, "sha256")
        yield there
        with open(path, "ab" if there else "wb") as out:
            with closing(target.fetch(digest, file, there, notify)) as chunks:
                for chunk in chunks:
                    out.write(chunk)
                    found.update(chunk)
                    came += len(chunk)
                    yield len(chunk)
            out.flush()
            os.fsync(out.fileno())
        if found.hexdigest() == file.sha256:
            return
        if not there:
            raise ProtocolError(f"{file.name} has another SHA-256")
        # An earlier try may have left something else than it was sent, as a power cut does.
        yield -came
        there = 0
