"""Which kept bundle was used with which target, and when, and which one is not to be used; seldom more than a hint."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import time
from typing import TypeVar

from edge_client.state import alone, replace_text
from shared.fields import check_number, check_text, filled

FORMAT = 1
MOST_ADDRESSES = 256
# Uses that follow one another so soon need not be written down anew, seconds.
SOON = 3600.0

Noted = TypeVar("Noted")


@dataclass(frozen=True)
class SetAside:
    """A bundle that a target offers, and that is not used with it.

    Attributes:
        digest: of it.
        instead: of the one that is used; that of the embedded one is "".
        needed, usual: the share of tokens for which the device needed the target with it, and before it.
    """

    digest: str
    instead: str
    needed: float
    usual: float


@dataclass
class Known:
    """What is known.

    Attributes:
        addresses: of targets, "host:port", with the digest of the bundle that each was last met with, oldest first.
        used: when a text was last begun with a bundle, by its digest, seconds since 1970.
        added: digests of those that the user put there, and no target.
        set_aside: by address.
        favoured: by address, the digest of the bundle that was set aside there, and is used for good now.
    """

    addresses: dict[str, str] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)
    set_aside: dict[str, SetAside] = field(default_factory=dict)
    favoured: dict[str, str] = field(default_factory=dict)


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
            if data["format"] == FORMAT:
                return Known(
                    _texts(data["addresses"]),
                    {digest: float(when) for digest, when in data["used"].items()},
                    set(data["added"]),
                    {address: _set_aside(one) for address, one in data.get("set_aside", {}).items()},
                    _texts(data.get("favoured", {})),
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
            _put(known.addresses, address, digest)
            known.used[digest] = self._now()

        self._change(change)

    def touch(self, digest: str) -> None:
        """A bundle is used, with whatever target."""
        if self._now() - self.read().used.get(digest, 0.0) >= SOON:
            self._change(lambda known: known.used.update({digest: self._now()}))

    def add(self, digest: str) -> None:
        """The user puts a bundle there."""
        self._change(lambda known: known.added.add(digest))

    def set_aside(self, address: str, one: SetAside) -> None:
        """A bundle is not used with the target at an address any more, but another one."""

        def change(known: Known) -> None:
            _put(known.set_aside, address, one)
            known.favoured.pop(address, None)
            known.addresses.pop(address, None)
            if one.instead:
                known.addresses[address] = one.instead

        self._change(change)

    def set_aside_at(self, address: str) -> str | None:
        """The digest of the bundle that is not used with the target at an address."""
        one = self.read().set_aside.get(address)
        return one.digest if one else None

    def favour(self, address: str, digest: str) -> None:
        """A bundle that was set aside there is used for good; any other is left as it is."""

        def change(known: Known) -> None:
            if (one := known.set_aside.get(address)) is not None and one.digest == digest:
                del known.set_aside[address]
                _put(known.favoured, address, digest)

        if address in self.read().set_aside:
            self._change(change)

    def forget_set_aside(self, address: str) -> None:
        """The target at an address offers another bundle than the one that was set aside."""
        self._change(lambda known: known.set_aside.pop(address, None))

    def forget(self, digest: str) -> None:
        """A bundle is gone."""

        def change(known: Known) -> None:
            known.addresses = {address: used for address, used in known.addresses.items() if used != digest}
            known.set_aside = {address: one for address, one in known.set_aside.items() if one.instead != digest}
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
            data = {
                "format": FORMAT,
                "addresses": _latest(known.addresses),
                "used": known.used,
                "added": sorted(known.added),
                "set_aside": {address: asdict(one) for address, one in _latest(known.set_aside).items()},
                "favoured": _latest(known.favoured),
            }
            replace_text(self.path, json.dumps(data, indent=1) + "\n")


def _put(known: dict[str, Noted], address: str, value: Noted) -> None:
    """Note something of an address, behind all others."""
    known.pop(address, None)
    known[address] = value


def _latest(known: dict[str, Noted]) -> dict[str, Noted]:
    return dict(list(known.items())[-MOST_ADDRESSES:])


def _texts(data: dict[str, object]) -> dict[str, str]:
    for value in data.values():
        check_text("digest", value)
    return {address: str(value) for address, value in data.items()}


def _set_aside(data: object) -> SetAside:
    one = filled(SetAside, data)
    check_text("digest", one.digest)
    check_text("instead", one.instead)
    for name in ("needed", "usual"):
        check_number(name, getattr(one, name), 0)
    return one
