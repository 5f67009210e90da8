"""Which kept bundle was used with which target, and when; nothing hangs on it but what is found without asking."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import time

from edge_client.state import alone, replace_text

FORMAT = 1
MOST_ADDRESSES = 256
# Uses that follow one another so soon need not be written down anew, seconds.
SOON = 3600.0


@dataclass
class Known:
    """What is known.

    Attributes:
        addresses: of targets, "host:port", with the digest of the bundle that each was last met with, oldest first.
        used: when a text was last begun with a bundle, by its digest, seconds since 1970.
        added: digests of those that the user put there, and no target.
    """

    addresses: dict[str, str] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)


class Uses:
    """A file of it. A file that cannot be read is as good as none, and one that cannot be written stays as it is.

    Args:
        path: of the file, which need not exist.
        now: seconds since 1970.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time) -> None:
        self.path = path
        self._now = now

    def read(self) -> Known:
        """What is known."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            addresses, used = data["addresses"], data["used"]
            if data["format"] == FORMAT and all(isinstance(one, str) for one in addresses.values()):
                return Known(
                    dict(addresses), {digest: float(when) for digest, when in used.items()}, set(data["added"])
                )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass
        return Known()

    def note(self, address: str, digest: str) -> None:
        """A text is begun with a bundle and the target at an address."""
        known = self.read()
        if known.addresses.get(address) == digest and self._now() - known.used.get(digest, 0.0) < SOON:
            return

        def change(known: Known) -> None:
            known.addresses.pop(address, None)
            known.addresses[address] = digest
            known.used[digest] = self._now()

        self._change(change)

    def add(self, digest: str) -> None:
        """The user puts a bundle there."""
        self._change(lambda known: known.added.add(digest))

    def forget(self, digest: str) -> None:
        """A bundle is gone."""

        def change(known: Known) -> None:
            known.addresses = {address: used for address, used in known.addresses.items() if used != digest}
            known.used.pop(digest, None)
            known.added.discard(digest)

        self._change(change)

    def forget_address(self, address: str) -> None:
        """The target at an address is met with no kept bundle any more."""
        if address in self.read().addresses:
            self._change(lambda known: known.addresses.pop(address, None))

    def _change(self, change: Callable[[Known], object]) -> None:
        with suppress(OSError), alone(self.path):
            known = self.read()
            change(known)
            addresses = dict(list(known.addresses.items())[-MOST_ADDRESSES:])
            data = {"format": FORMAT, "addresses": addresses, "used": known.used, "added": sorted(known.added)}
            replace_text(self.path, json.dumps(data, indent=1) + "\n")
