"""Which bundle texts are written with where it comes with the target: found, fetched, changed between two texts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge_client.bundles.bundle import Bundle
from edge_client.bundles.errand import Errand, Failures, now_and_then
from edge_client.bundles.fetching import Progress, fetch
from edge_client.bundles.holding import load_held
from edge_client.bundles.pocket import POCKET
from edge_client.bundles.probation import Probation
from edge_client.bundles.store import Store
from edge_client.bundles.superseded import remove_superseded
from edge_client.bundles.trials import Trials
from edge_client.settings import Settings
from edge_client.target.client import TargetClient
from edge_client.target.connection import Connection
from edge_client.target.outage import tell_nobody
from edge_client.target.retry import Clock, SystemClock
from edge_client.usage.audit_counts import AuditCounts
from shared.contents import Contents
from shared.errors import BundleError, InputError, ProtocolError, TandemError, TargetMismatch, TargetRefused
from shared.manifest import Manifest, glance
from shared.sizes import show_size

# What a target says that it serves is believed for so long, seconds; after trouble with the link not even so long.
FRESH = 30.0


class Following:
    """The one that the target offers, fetched if need be; else one that is kept and fits; else the embedded one.

    The first one is waited for. Another one is brought while texts go on with the present one, if the target can judge
    that; and if it turns out to be worse, the edge goes back.

    Args:
        connection: the way to the target.
        address: of it, "host:port"; None where only a transport knows it.
        threads: of each model.
        notify: is told, in a sentence, of what takes long or was not to be expected.
        progress: is told what is there of a bundle that is waited for.
        keeps: where it is kept what bundles are worth, see `Trials.kept`.
    """

    def __init__(
        self,
        connection: Connection,
        address: str | None,
        threads: int,
        notify: Callable[[str], None],
        progress: Progress,
        keeps: bool | Path,
        clock: Clock | None = None,
    ) -> None:
        self._connection, self._address, self._threads = connection, address, threads
        self._notify, self._progress = notify, progress
        self._clock = clock or SystemClock()
        self._probation = Probation(Trials.kept(keeps), notify)
        self._failures = Failures(self._clock.now)
        self._bundle: Bundle | None = None
        self._digest = ""  # of the present bundle; "" for the embedded one
        self._errand: Errand | None = None
        self._asked: float | None = None
        self._is_due = False  # whether the present bundle has to be looked at, whatever the target said when
        self._is_settling = False
        self._announced: str | None = None  # digest of the bundle that was said to be used from now on
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
            is_stale = self._asked is None or self._clock.now() - self._asked > FRESH
            errand = self._errand if self._errand is not None and self._errand.is_over else None
            if is_stale or self._is_due or errand is not None:
                served = client.description
                is_another = is_stale and self._asked is not None and client.look_again()
                self._is_due, before = False, self._bundle
                self._is_settling = True
                try:
                    bundle = self._settle(client)
                finally:
                    self._is_settling = False
                    if self._errand is errand:  # nobody wants any more what it has brought
                        self._errand = None
                if is_stale:
                    self._asked = self._clock.now()
                if before is not None and bundle is not before:
                    self._tell_of_change(client, bundle)
                elif is_another and self._errand is None:  # else it was said that one comes with it
                    self._notify(client.description.instead_of(served, client.address))
            assert self._bundle is not None, "it was settled"
            return self._bundle

    def doubt(self) -> None:
        """See `Source.doubt`."""
        with self._lock:
            if self._asked is not None:
                self._asked = float("-inf")

    def wrote(self, bundle: Bundle, client: TargetClient, target: str, settings: Settings, counts: AuditCounts) -> None:
        """See `Source.wrote`. Waits for no other text, which may be fetching something."""
        if bundle is not self._bundle or client.adapter:  # what an adapter needs says nothing of the target
            return
        self._probation.wrote(client.address, self._digest, target, settings, counts)
        if (
            not self._is_settling and (store := _store()) is not None
        ):  # else whoever settles, or the next one, sees to it
            self._see_to_trial(client, store)

    def close(self) -> None:
        """See `Source.close`."""
        errand, self._errand = self._errand, None
        if errand is not None:
            errand.end()
        self._connection.close()  # which breaks off what it waits for
        if errand is not None:
            errand.wait()

    def _settle(self, client: TargetClient, is_again: bool = False) -> Bundle:
        """The bundle for the target as it describes itself, once more if it refuses to send what it has offered."""
        store, offer = _store(), client.description.bundle
        if store is not None:
            self._see_to_trial(client, store)
            if (bundle := self._gone_back_to(client, store)) is not None:
                return bundle
        if offer is None:
            return self._fitting(client, store) or self._bundle or self._take(POCKET, "")
        try:
            return self._offered(client, client.description.offered, store)
        except TandemError as error:
            if isinstance(error, TargetRefused) and not is_again:
                client.look_again()
                if client.description.bundle != offer or self._present_if_it_reads_alike(client) is None:
                    return self._settle(client, is_again=True)
            instead = self._fitting(client, store) or self._present_if_it_reads_alike(client)
            if instead is None:
                raise
            if self._failures.add(_digest_of(client)):
                self._notify(
                    f"the bundle that {client.address} offers is not used: {error}; {instead.manifest.name} is used "
                    "instead"
                )
            return instead

    def _offered(self, client: TargetClient, offered: Contents, store: Store | None) -> Bundle:
        """The offered bundle, if it is here, or has to be waited for; else the present one."""
        if self._bundle is not None and offered.digest == self._digest:
            if store is not None:
                store.uses.note(client.address, offered.digest)
            return self._bundle
        if _is_pocket(offered):
            return self._used(client, POCKET, "", store)
        if store is None:
            raise InputError("this user has no home directory to keep bundles in; set TANDEM_BUNDLES to a directory")
        present = self._present_if_it_reads_alike(client)
        if present is None:
            bundle = self._bring(client, offered, store, self._notify, self._progress)
        else:
            found = self._brought(client, offered, store, present)
            if found is None:
                return present
            bundle = found
        return self._changed(client, bundle, offered.digest, store, is_offered=True)

    def _brought(self, client: TargetClient, offered: Contents, store: Store, present: Bundle) -> Bundle | None:
        """The offered bundle, if it has come by now; else it is on its way, or tried later.

        Raises:
            TandemError: it does not come.
        """
        errand, self._errand = self._errand, None
        if errand is not None and errand.digest == offered.digest:
            if not errand.is_over:
                self._errand = errand
                return None
            if isinstance(errand.error, TandemError):
                raise errand.error
            if errand.error is not None:  # no text is worse for it
                raise BundleError(f"the bundle {offered.name} cannot be loaded: {errand.error!r}") from errand.error
            if errand.bundle is not None:
                return errand.bundle
        elif errand is not None:
            errand.end()
        if self._failures.is_due(offered.digest):
            if store.find(offered.digest) is None and self._failures.is_first(offered.digest):
                self._notify(
                    f"the target at {client.address} offers another bundle, {offered.name} "
                    f"({show_size(offered.size)}): it is fetched while texts go on with {present.manifest.name}"
                )
            tell = now_and_then(self._notify, self._clock.now)

            def bring(see_that_it_is_wanted: Callable[[], None]) -> Bundle:
                def progress(contents: Contents, done: int) -> None:
                    see_that_it_is_wanted()
                    tell(contents, done)

                return self._bring(client, offered, store, tell_nobody, progress)

            self._errand = Errand(offered.digest, bring)
        return None

    def _bring(
        self, client: TargetClient, offered: Contents, store: Store, notify: Callable[[str], None], progress: Progress
    ) -> Bundle:
        """The offered bundle: a kept one, or one that is fetched now; any thread may do so."""
        if directory := store.find(offered.digest):
            try:
                return self._load(directory, offered.digest)
            except BundleError as error:
                self._notify(f"{error}; it is fetched again")
                if directory.is_dir():
                    store.remove(directory)
        directory = fetch(client, offered, store.place, notify, progress)
        bundle = self._load(directory, offered.digest)
        remove_superseded(store, self._probation.trials.protected(), self._notify)
        return bundle

    def _gone_back_to(self, client: TargetClient, store: Store) -> Bundle | None:
        """The bundle that takes the place of one that was set aside, as long as the target offers no other one."""
        one = store.uses.read().set_aside.get(client.address)
        if one is None:
            return None
        if _digest_of(client) not in ("", one.digest, one.instead):
            store.uses.forget_set_aside(client.address)
            return None
        directory = store.place / one.instead if one.instead else POCKET
        with suppress(BundleError, TargetMismatch):
            client.description.check(glance(directory), client.address)
            return self._used(client, directory, one.instead, store)
        return None

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
        is_present = self._bundle is not None and digest == self._digest
        bundle = self._bundle if is_present and self._bundle is not None else self._load(directory, digest)
        return self._changed(client, bundle, digest, store)

    def _changed(
        self, client: TargetClient, bundle: Bundle, digest: str, store: Store | None, is_offered: bool = False
    ) -> Bundle:
        """Go over to a bundle, and take note of it."""
        if store is not None:
            if is_offered:
                known = store.uses.read().addresses.get(client.address)
                before = self._digest if self._asked is not None and self._bundle is not None else known
                self._probation.begin(store, client.address, digest, before, client.description.fingerprint)
            if digest:
                store.uses.note(client.address, digest)
            else:
                store.uses.forget_address(client.address)
        self._bundle, self._digest = bundle, digest
        return bundle

    def _take(self, directory: Path, digest: str) -> Bundle:
        if self._bundle is None or digest != self._digest:
            self._bundle, self._digest = self._load(directory, digest), digest
        return self._bundle

    def _load(self, directory: Path, digest: str) -> Bundle:
        """Raises BundleError."""
        bundle = load_held(directory, self._threads) if digest else Bundle.load(directory, self._threads)
        if digest and Contents.of(directory, bundle.manifest).digest != digest:
            raise BundleError(f"{directory} is not the bundle that it was when it was kept")
        return bundle

    def _see_to_trial(self, client: TargetClient, store: Store) -> None:
        if (next_one := self._probation.see_to(store, client.address)) is not None:
            self._announced, self._is_due = next_one, True

    def _tell_of_change(self, client: TargetClient, bundle: Bundle) -> None:
        announced, self._announced = self._announced, None
        if announced == self._digest:
            return
        store = _store()
        one = store.uses.read().set_aside.get(client.address) if store else None
        if store is not None and one is not None and one.instead == self._digest:  # another program saw to it
            self._probation.tell(store, client.address, one)
            return
        self._notify(
            f"the target at {client.address} is {client.description.name} ({client.description.fingerprint[:8]}) now; "
            f"texts are written with the bundle {bundle.manifest.name} from here on"
        )


def last_used(address: str) -> Path:
    """The directory of the bundle that was last used with the target at an address, or of the embedded one."""
    store = _store()
    digest = store.of_address(address) if store else None
    return store.place / digest if store and digest else POCKET


def _store() -> Store | None:
    with suppress(InputError):
        return Store.of_this_user()
    return None


def _digest_of(client: TargetClient) -> str:
    """Of the bundle that a target offers; "" where that is none."""
    with suppress(InputError, ProtocolError):
        return client.description.offered.digest
    return ""


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
