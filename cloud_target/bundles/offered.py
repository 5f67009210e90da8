"""A bundle that is offered: its files are opened and hashed once, and what changes on disk later is never sent."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from threading import Lock

from cloud_target.engine.interface import Description
from shared.contents import Contents, present
from shared.errors import BundleError, ProtocolError, TargetRefused
from shared.manifest import Manifest, read_manifest
from shared.wire.v1 import target_pb2 as wire

log = logging.getLogger(__name__)
# Of a file in one message: small enough that a slow link takes one before it is taken for dead.
SENT_BYTES = 64 << 10
_Stamp = tuple[int, int, int, int]


@dataclass
class _Opened:
    """A file of the bundle; one handle for all who fetch it."""

    path: Path
    file: BufferedReader
    stamp: _Stamp


class OfferedBundle:
    """Gives out the bytes of a bundle. Use from any thread.

    Args:
        directory: of the bundle.

    Attributes:
        contents: its files, as they were when it was opened.

    Raises:
        BundleError: it is missing or damaged.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = Lock()
        self._is_told = False
        self._files: dict[str, _Opened] = {}
        try:
            # Opened before it is read: what is put in the place of a file from now on is noticed, not sent.
            for name in present(directory):  # the manifest's reader says what is missing
                path = directory / name
                self._files[name] = _Opened(path, path.open("rb"), _stamp(os.stat(path)))
            self.manifest: Manifest = read_manifest(directory)
            self.contents = Contents.of(directory, self.manifest)
            for name in self._files.keys() - {file.name for file in self.contents.files}:
                self._files.pop(name).file.close()
            for file in self.contents.files:
                found = hashlib.file_digest(self._files[file.name].file, "sha256").hexdigest()
                if found != file.sha256:
                    raise BundleError(f"{directory} was changed while it was read; start again when it is whole")
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise BundleError(
                    f"cannot read the bundle {directory} ({error.strerror}); see who may read it"
                ) from None
            raise

    def check(self, target: Description) -> None:
        """See that it was made for the target that is served.

        Raises:
            BundleError: for another one, or for another tokenizer.
        """
        made_for, own = self.manifest, target
        if (made_for.tokenizer_fingerprint, made_for.vocabulary) != (own.tokenizer_fingerprint, own.vocabulary):
            raise BundleError(
                f"the bundle {self.directory} has another tokenizer ({made_for.vocabulary} tokens) than {own.name} "
                f"({own.vocabulary}), so no edge could use it here; offer one that was made for this target"
            )
        if made_for.target_fingerprint != own.fingerprint:
            raise BundleError(
                f"the bundle {self.directory} was made for {made_for.target_name or 'no target'} "
                f"({made_for.target_fingerprint[:8] or 'none'}), and this target is {own.name} "
                f"({own.fingerprint[:8]}); make it again with `cloud-target prepare`"
            )

    @property
    def is_intact(self) -> bool:
        """Whether the files on disk are still those that were opened; the log says once when they are not."""
        try:
            is_same = all(
                _stamp(os.stat(one.path)) == one.stamp == _stamp(os.fstat(one.file.fileno()))
                for one in self._files.values()
            )
        except (OSError, ValueError):  # gone; or closed
            is_same = False
        if not is_same and not self._is_told:
            self._is_told = True
            log.warning("the bundle %s was changed on disk and is not offered any more; start again", self.directory)
        return is_same

    def see_that_it_can_be_sent(self, request: wire.FetchBundleRequest) -> None:
        """Refuse what cannot be answered.

        Raises:
            TargetRefused: it is not the bundle that is offered, or was changed on disk.
            ProtocolError: a file that is not in it, or an offset that is not in the file.
        """
        if request.digest.hex() != self.contents.digest:
            raise TargetRefused("this target offers another bundle than that; ask once more what it offers")
        sizes = {file.name: file.size for file in self.contents.files}
        if request.file not in sizes:
            raise ProtocolError(f"the bundle has no such file; ask for one of {', '.join(sizes)}")
        if request.offset >= sizes[request.file]:
            raise ProtocolError(
                f"{request.file} has {sizes[request.file]} bytes, and none from {request.offset} on; ask for less"
            )

    def read(self, name: str, offset: int) -> bytes:
        """The next chunk of a file, `SENT_BYTES` at most; none at its end.

        Raises:
            TargetRefused: it was changed on disk.
        """
        one = self._files[name]
        with self._lock:
            if one.file.closed:
                raise TargetRefused("the target shuts down; ask once more when it is back")
            one.file.seek(offset)
            chunk = one.file.read(SENT_BYTES)
        if not self.is_intact:  # after the reading: what was read before a change is whole
            raise TargetRefused(
                "the bundle of this target was changed on disk since it started, and is not sent half old and half "
                "new; its operator has to start the target again"
            )
        return chunk

    def close(self) -> None:
        """Close the files. Twice is once."""
        with self._lock:
            for one in self._files.values():
                one.file.close()


def _stamp(found: os.stat_result) -> _Stamp:
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
