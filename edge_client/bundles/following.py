"""Which bundle texts are written with: the one that was given, or the one that comes with the target."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from edge_client.bundles.bundle import Bundle
from edge_client.bundles.fetching import Progress, fetch
from edge_client.bundles.pocket import POCKET
from edge_client.bundles.store import Store
from edge_client.target.client import TargetClient
from edge_client.target.connection import Connection
from edge_client.target.retry import Clock, SystemClock
from shared.contents import Contents
from shared.errors import BundleError, InputError, TandemError, TargetMismatch, TargetRefused
from shared.manifest import Manifest, glance

# What a target says that it serves is believed for so long, seconds; after trouble with the link not even so long.
FRESH = 30.0


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


class Given:
    """The one that was given."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def alone(self) -> Bundle:
        return self._bundle

    def asking(self, timeout: float | None, holds_on: bool = True) -> Bundle:
        return self._bundle

    def doubt(self) -> None:
        pass


class Following:
    """The one that the target offers, fetched if need be; else one that is kept and fits; else the embedded one.

    Args:
        connection: the way to the target.
        address: of it, "host:port"; None where only a transport knows it.
        threads: of each model.
        notify: is told, in a sentence, of what takes long or was not to be expected.
        progress: is told what is there of a bundle that is fetched.
    """

    def __init__(
        self,
        connection: Connection,
        address: str | None,
        threads: int,
        notify: Callable[[str], None],
        progress: Progress,
        clock: Clock | None = None,
    ) -> None:
        self._connection, self._address, self._threads = connection, address, threads
        self._notify, self._progress = notify, progress
        self._clock = clock or SystemClock()
        self._bundle: Bundle | None = None
        self._digest = ""  # of the present bundle; "" for the embedded one
        self._asked: float | None = None
        self._lock = threading.RLock()

    def alone(self) -> Bundle:
        """The present bundle; at first the one that was last used with the target's address, or the embedded one."""
        if self._bundle is not None:  # nobody need wait until another text has asked the target
            return self._bundle
        with self._lock:
            if self._bundle is None and self._address and (directory := last_used(self._address)) != POCKET:
                try:
                    return self._take(directory, directory.name)
                except BundleError as error:
                    self._notify(f"{error}; the embedded bundle is used")
            return self._bundle or self._take(POCKET, "")

    def asking(self, timeout: float | None, holds_on: bool = True) -> Bundle:
        """See `Source.asking`."""
        with self._lock:
            client = self._connection.client(timeout=timeout, holds_on=holds_on)
            is_first = self._asked is None
            if self._asked is None or self._clock.now() - self._asked > FRESH:
                if not is_first:
                    client.look_again()
                before = self._bundle
                bundle = self._settle(client)
                self._asked = self._clock.now()
                if before is not None and bundle is not before:
                    self._notify(
                        f"the target at {client.address} is {client.description.name} "
                        f"({client.description.fingerprint[:8]}) now; texts are written with the bundle "
                        f"{bundle.manifest.name} from here on"
                    )
            assert self._bundle is not None, "it was settled"
            return self._bundle

    def doubt(self) -> None:
        """See `Source.doubt`."""
        with self._lock:
            if self._asked is not None:
                self._asked = float("-inf")

    def _settle(self, client: TargetClient, is_again: bool = False) -> Bundle:
        """The bundle for the target as it describes itself, once more if it refuses to send what it has offered."""
        store = _store()
        if client.description.bundle is None:
            return self._fitting(client, store) or self._bundle or self._take(POCKET, "")
        try:
            return self._offered(client, client.description.offered, store)
        except TandemError as error:
            if isinstance(error, TargetRefused) and not is_again:
                client.look_again()
                return self._settle(client, is_again=True)
            instead = self._fitting(client, store) or self._present_if_it_reads_alike(client)
            if instead is None:
                raise
            self._notify(
                f"the bundle that {client.address} offers is not used: {error}; {instead.manifest.name} is used instead"
            )
            return instead

    def _offered(self, client: TargetClient, offered: Contents, store: Store | None) -> Bundle:
        """The offered bundle: the present one, the embedded one, a kept one, or one that is fetched now."""
        if self._bundle is not None and offered.digest == self._digest:
            return self._bundle
        if _is_pocket(offered):
            return self._used(client, POCKET, "", store)
        if store is None:
            raise InputError("this user has no home directory to keep bundles in; set TANDEM_BUNDLES to a directory")
        if directory := store.find(offered.digest):
            try:
                return self._used(client, directory, offered.digest, store)
            except BundleError as error:
                self._notify(f"{error}; it is fetched again")
                store.remove(directory)
        directory = fetch(client, offered, store.place, self._notify, self._progress)
        return self._used(client, directory, offered.digest, store)

    def _fitting(self, client: TargetClient, store: Store | None) -> Bundle | None:
        """A bundle that is here and was made for the very target: the present one, a kept one, or the embedded one."""
        fingerprint = client.description.fingerprint
        if self._bundle is not None and _is_for(self._bundle.manifest, fingerprint):
            return self._bundle
        if store and (digest := store.of_target(fingerprint, client.address)):
            with suppress(BundleError):
                return self._used(client, store.place / digest, digest, store)
        with suppress(BundleError):
            if _is_for(glance(POCKET), fingerprint):
                return self._used(client, POCKET, "", store)
        return None

    def _present_if_it_reads_alike(self, client: TargetClient) -> Bundle | None:
        """The present bundle, if the target can judge its tokens: a text says that it was made for another target."""
        with suppress(TargetMismatch):
            if self._bundle is not None:
                client.description.check(self._bundle.manifest, client.address)
            return self._bundle
        return None

    def _used(self, client: TargetClient, directory: Path, digest: str, store: Store | None) -> Bundle:
        """Load a bundle for a target, and take note of it."""
        bundle = self._take(directory, digest)
        if store is not None and digest:
            store.uses.note(client.address, digest)
        elif store is not None:
            store.uses.forget_address(client.address)
        return bundle

    def _take(self, directory: Path, digest: str) -> Bundle:
        if self._bundle is None or digest != self._digest:
            bundle = Bundle.load(directory, self._threads)
            if digest and Contents.of(directory, bundle.manifest).digest != digest:
                raise BundleError(f"{directory} is not the bundle that it was when it was kept")
            self._bundle, self._digest = bundle, digest
        return self._bundle


def last_used(address: str) -> Path:
    """The directory of the bundle that was last used with the target at an address, or of the embedded one."""
    store = _store()
    digest = store.of_address(address) if store else None
    return store.place / digest if store and digest else POCKET


def _store() -> Store | None:
    with suppress(InputError):
        return Store.of_this_user()
    return None


def _is_for(manifest: Manifest, fingerprint: str) -> bool:
    return bool(fingerprint) and manifest.target_fingerprint == fingerprint


def _is_pocket(offered: Contents) -> bool:
    """Whether it is the embedded bundle, of which nothing need be fetched."""
    try:
        if any((POCKET / file.name).stat().st_size != file.size for file in offered.files):
            return False
        return Contents.of(POCKET, glance(POCKET)).digest == offered.digest
    except (OSError, BundleError):
        return False
