"""The bundles that this device keeps: one directory each, under its digest, and a note of who used which.

`$TANDEM_BUNDLES`, else `$XDG_DATA_HOME/tandem/bundles`, else `~/.local/share/tandem/bundles`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_client.bundles.uses import Uses
from edge_client.bundles.writing import PARTIAL, remove, write
from shared.contents import Contents
from shared.errors import BundleError, InputError
from shared.manifest import Manifest, glance, read_manifest

BUNDLES = "TANDEM_BUNDLES"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def bundles_directory() -> Path:
    """Where bundles of this user are kept.

    Raises:
        InputError: the user has no home.
    """
    if given := os.environ.get(BUNDLES):
        return Path(given).expanduser()
    if given := os.environ.get("XDG_DATA_HOME"):
        return Path(given).expanduser() / "tandem" / "bundles"
    try:
        return Path.home() / ".local" / "share" / "tandem" / "bundles"
    except RuntimeError as error:
        raise InputError(f"this user has no home directory to keep bundles in; set {BUNDLES} to a directory") from error


@dataclass(frozen=True)
class Kept:
    """A bundle that is kept.

    Attributes:
        digest: of the whole (`shared.contents`).
        directory: where it is.
        manifest: what it is; None where that cannot be read.
        size: bytes on disk.
        used: when a text was last begun with it, seconds since 1970; None if never.
        addresses: of targets that were last met with it.
        set_aside: addresses of targets with which it is not used, for it turned out to be worse than another one.
    """

    digest: str
    directory: Path
    manifest: Manifest | None
    size: int
    used: float | None
    addresses: tuple[str, ...]
    set_aside: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the bundle, for people."""
        return self.manifest.name if self.manifest else "?"


class Store:
    """The kept bundles of a place. Several threads and processes may use it.

    Args:
        place: the directory, which need not exist.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.uses = Uses(place / "uses.json")

    @classmethod
    def of_this_user(cls) -> Store:
        """Reads nothing.

        Raises:
            InputError: the user has no home.
        """
        return cls(bundles_directory())

    def find(self, digest: str) -> Path | None:
        """The directory of a bundle; None where it is not kept."""
        directory = self.place / digest
        return directory if _DIGEST.fullmatch(digest) and directory.is_dir() else None

    def of_target(self, fingerprint: str, address: str) -> str | None:
        """The digest of a bundle that was made for a target, of several the one last used; None if there is none.

        Only those count that the user has added, or that came from this very address: what a bundle says of itself is
        no reason to have one target's bundle write texts for another.
        """
        added = self.uses.read().added
        for one in self.kept():
            is_trusted = one.digest in added or address in one.addresses
            if fingerprint and is_trusted and one.manifest and one.manifest.target_fingerprint == fingerprint:
                return one.digest
        return None

    def of_address(self, address: str) -> str | None:
        """The digest of the bundle that was last used with the target at an address, if it is still kept."""
        digest = self.uses.read().addresses.get(address)
        return digest if digest and self.find(digest) else None

    def kept(self) -> list[Kept]:
        """All that are kept, the one used last first."""
        known = self.uses.read()
        found = []
        for directory in _directories(self.place):
            if not _DIGEST.fullmatch(directory.name):
                continue
            digest, manifest = directory.name, None
            with suppress(BundleError):
                manifest = glance(directory)
            addresses = tuple(sorted(address for address, used in known.addresses.items() if used == digest))
            aside = tuple(sorted(address for address, one in known.set_aside.items() if one.digest == digest))
            found.append(Kept(digest, directory, manifest, _size(directory), known.used.get(digest), addresses, aside))
        return sorted(found, key=lambda one: (-(one.used or 0.0), one.digest))

    def unfinished(self) -> list[Path]:
        """Directories of bundles that were begun and not finished."""
        return [one for one in _directories(self.place) if one.name.startswith(PARTIAL)]

    def named(self, words: str) -> Kept:
        """The one bundle that is meant by its digest, the first four or more characters of it, or its name.

        Raises:
            InputError: none, or several.
        """
        kept = self.kept()
        found = [one for one in kept if len(words) >= 4 and one.digest.startswith(words.lower())]
        found = found or [one for one in kept if one.name == words]
        if len(found) != 1:
            what = "no bundle is kept" if not found else f"{len(found)} bundles are kept"
            known = ", ".join(f"{one.digest[:12]} ({one.name})" for one in found or kept) or "there are none"
            raise InputError(f"{what} under {words!r}; give the digest, or its beginning: {known}")
        return found[0]

    def add(self, directory: Path, waits: Callable[[], None]) -> Contents:
        """Keep a copy of a bundle.

        Raises:
            BundleError: it is missing or damaged, or cannot be kept.
        """
        contents = Contents.of(directory, read_manifest(directory))

        def fill(partial: Path) -> None:
            for file in contents.files:
                with open(directory / file.name, "rb") as data, open(partial / file.name, "wb") as out:
                    shutil.copyfileobj(data, out)
                    out.flush()
                    os.fsync(out.fileno())

        write(self.place, contents, fill, waits)
        self.uses.add(contents.digest)
        return contents

    def verify(self, directory: Path) -> None:
        """See that a bundle is what it was when it was fetched.

        Raises:
            BundleError: it is not.
        """
        if Contents.of(directory, read_manifest(directory)).digest != directory.name:
            raise BundleError(f"{directory} is not the bundle that it was; remove it, and fetch it again")

    def remove(self, directory: Path) -> None:
        """Remove a bundle, or one that is unfinished.

        Raises:
            InputError: it cannot be removed.
        """
        try:
            remove(directory)
            self.uses.forget(directory.name)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InputError(f"cannot remove {directory} ({why}); remove it by hand") from error


def _directories(place: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):
        yield from (one for one in sorted(place.iterdir()) if one.is_dir())


def _size(directory: Path) -> int:
    with suppress(OSError):  # somebody removes it just now
        return sum(file.stat().st_size for file in directory.iterdir())
    return 0
