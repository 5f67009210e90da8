"""Where texts have their bundle from."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from edge_client.bundles.bundle import Bundle
from edge_client.bundles.holding import load_held
from edge_client.bundles.pocket import POCKET
from edge_client.bundles.store import Store
from edge_client.settings import Settings
from edge_client.target.client import TargetClient
from edge_client.usage.audit_counts import AuditCounts
from shared.errors import InputError


class Source(Protocol):
    """Gives out bundles."""

    def alone(self) -> Bundle:
        """For a text that asks no target; opens no socket."""

    def asking(self, timeout: float | None, holds_on: bool = True) -> Bundle:
        """For a text that asks the target, which is looked for, if need be, as `Connection.client` does.

        Raises:
            TargetError: it is not reached, refuses, or does not send its bundle.
            BundleError: the bundle cannot be kept or used.
            ProtocolError: what it offers is no bundle.
        """

    def doubt(self) -> None:
        """There was trouble with the link: the target may be another one by now."""

    def wrote(self, bundle: Bundle, client: TargetClient, target: str, settings: Settings, counts: AuditCounts) -> None:
        """A text has ended, in whatever way.

        Args:
            bundle: that it was written with.
            client: that it asked with.
            target: fingerprint of the one that has answered.
            counts: what audits say of it.
        """

    def close(self) -> None:
        """Nothing more is wanted. Never raises; twice is once."""


class Given:
    """The one that was given.

    Args:
        bundle: or its directory; None for the embedded one. If it is one of those that are kept, it is not removed
            for want of use.
        threads: of each model.

    Raises:
        BundleError: see `Bundle.load`.
    """

    def __init__(self, bundle: Bundle | str | Path | None, threads: int = 1) -> None:
        bundle = bundle or POCKET
        if isinstance(bundle, Bundle):
            self._bundle = bundle
        elif (store := _store_of(bundle)) is not None:
            self._bundle = load_held(Path(bundle), threads)
            store.uses.touch(Path(bundle).name)
        else:
            self._bundle = Bundle.load(bundle, threads)

    def alone(self) -> Bundle:
        return self._bundle

    def asking(self, timeout: float | None, holds_on: bool = True) -> Bundle:
        return self._bundle

    def doubt(self) -> None:
        pass

    def wrote(self, bundle: Bundle, client: TargetClient, target: str, settings: Settings, counts: AuditCounts) -> None:
        pass

    def close(self) -> None:
        pass


def _store_of(directory: str | Path) -> Store | None:
    """Where a directory is kept, if it is."""
    with suppress(InputError, OSError, TypeError):  # `Bundle.load` says what is wrong with it
        store = Store.of_this_user()
        if store.find(Path(directory).name) is not None and Path(directory).parent.samefile(store.place):
            return store
    return None
