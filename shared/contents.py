"""What is in a bundle, to those who send and keep it: its files by name, size and digest, and a digest of the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shared.domains import MOST_DOMAINS, is_verifier_file
from shared.errors import BundleError
from shared.identity import file_digest
from shared.manifest import DRAFT_DATA, FILES, Manifest

MANIFEST = "manifest.json"
# The files of every bundle. Beside them only a draft's weights that lie apart and verifiers of domains ever travel, and
# no other name is taken from a peer.
NAMES = (MANIFEST, *FILES)


def are_of_a_bundle(names: Iterable[str]) -> bool:
    """Whether there may be a bundle with just these files, each once: all of `NAMES`, and perhaps `DRAFT_DATA` and some
    verifiers of domains."""
    more = sorted(names)
    for name in NAMES:
        if name not in more:
            return False
        more.remove(name)
    if DRAFT_DATA in more:
        more.remove(DRAFT_DATA)
    return len(set(more)) == len(more) <= MOST_DOMAINS and all(map(is_verifier_file, more))


def present(directory: Path) -> list[str]:
    """Of the files in a directory, those that may be a bundle's, whatever its manifest says."""
    more = sorted(path.name for path in directory.glob("verifier-*.onnx") if is_verifier_file(path.name))
    return [name for name in (*NAMES, DRAFT_DATA, *more) if (directory / name).is_file()]


@dataclass(frozen=True)
class BundleFile:
    """One file.

    Attributes:
        name: one of `NAMES`, `DRAFT_DATA`, or that of a domain's verifier.
        size: bytes.
        sha256: of what is in it, lower-case hex.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Contents:
    """The files of one bundle.

    Attributes:
        name: of the bundle, for people.
        files: as `are_of_a_bundle` has them.
    """

    name: str
    files: tuple[BundleFile, ...]

    @classmethod
    def of(cls, directory: str | Path, manifest: Manifest) -> Contents:
        """Of a bundle whose manifest was read just now, which has checked the digests of the other files.

        Raises:
            BundleError: a file cannot be read any more.
        """
        directory, names = Path(directory), (MANIFEST, *manifest.files)
        try:
            digests = manifest.digests | {MANIFEST: file_digest(directory / MANIFEST)}
            files = tuple(BundleFile(name, (directory / name).stat().st_size, digests[name]) for name in names)
        except OSError as error:
            raise BundleError(f"cannot read {error.filename} ({error.strerror}); see who may read it") from error
        return cls(manifest.name, files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @cached_property
    def digest(self) -> str:
        """SHA-256, hex, of a line for each file in order of name: its name, its size and its digest."""
        lines = sorted(f"{file.name} {file.size} {file.sha256}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()
