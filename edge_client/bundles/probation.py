"""A bundle that takes the place of another one is on probation: if it is worse, the edge goes back, for good.

What is worse is `edge_client/promise/trial.py`'s business. Where it took the place of one that was made for another
target, that one is looked at too, once it is gone back to: nothing was measured of it with this target, and if it is
the worse one, the newer one is taken for good. So between two bundles there are two changes back at most.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge_client.bundles.pocket import POCKET
from edge_client.bundles.standing import Record, Verdict
from edge_client.bundles.store import Store
from edge_client.bundles.trials import Trials
from edge_client.bundles.uses import SetAside
from edge_client.promise.trial import kind_of
from edge_client.settings import Settings
from edge_client.usage.audit_counts import AuditCounts
from shared.errors import BundleError
from shared.manifest import Manifest, glance


class Probation:
    """Watches the bundles of targets.

    Args:
        trials: what is known of them.
        notify: is told, in a sentence, of a bundle that is given up.
    """

    def __init__(self, trials: Trials, notify: Callable[[str], None]) -> None:
        self.trials = trials
        self._notify = notify

    def begin(self, store: Store, address: str, digest: str, before: str | None, target: str) -> None:
        """A bundle that the target offers takes the place of another one.

        Args:
            before: digest of the other one; None where there was none.
            target: fingerprint of the target.
        """
        known = store.uses.read()
        trusted = known.favoured.get(address) == digest
        if before not in (None, digest) and address not in known.set_aside and not trusted:
            self.trials.begin(address, digest, before or "", target)
        elif trusted:
            self.trials.drop(address)

    def wrote(self, address: str, digest: str, target: str, settings: Settings, counts: AuditCounts) -> None:
        """A text was written."""
        if (kind := kind_of(settings)) is not None and counts.known:
            needed = min(counts.asked + counts.off(settings.criterion), counts.known)
            self.trials.add(address, Record(digest, target, kind), counts.known, needed)

    def see_to(self, store: Store, address: str) -> str | None:
        """Act on a trial that has failed; returns the digest of the bundle that is to be used from now on, if so."""
        case = self.trials.case(address)
        if case is None or case.verdict is not Verdict.FAILED:
            return None
        failed, other = _manifest(store, case.digest), _manifest(store, case.before)
        needed, usual = case.trial.needs / case.trial.samples, case.trial.usual / case.trial.samples
        if case.is_second:
            store.uses.favour(address, case.before)
            self.trials.close(address, case)
            self._notify(
                f"with the target at {address} as it is now the older bundle {_name(failed, case.digest)} needs it for "
                f"{_share(needed)} of the tokens, and {_name(other, case.before)} for {_share(usual)}: texts are "
                "written with that one from here on"
            )
            return case.before
        if failed is None or other is None or _tokens(failed) != _tokens(other):
            self._notify(
                f"the bundle {_name(failed, case.digest)} {_compared(needed, usual)}; that one cannot be gone back to, "
                "for it is gone, or has other tokens"
            )
            self.trials.drop(address)
            return None
        one = SetAside(case.digest, case.before, needed, usual)
        store.uses.set_aside(address, one)
        self.trials.close(address, case)
        self.tell(store, address, one, is_looked_at=not case.is_fair)
        return case.before

    def tell(self, store: Store, address: str, one: SetAside, is_looked_at: bool = False) -> None:
        """Say that a bundle was set aside; any program may have done so.

        Args:
            is_looked_at: it is not known yet how the other one does with this target.
        """
        name, instead = (_name(_manifest(store, digest), digest) for digest in (one.digest, one.instead))
        then = "; if that does even worse, they change once more" if is_looked_at else ""
        self._notify(
            f"the bundle {name} {_compared(one.needed, one.usual)}: it is set aside for {address}, and texts are "
            f"written with {instead} again{then}. `edge-client bundle pull` takes it back"
        )


def _compared(needed: float, usual: float) -> str:
    return f"needs the target for {_share(needed)} of the tokens, and the one before it needed it for {_share(usual)}"


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"


def _manifest(store: Store, digest: str) -> Manifest | None:
    directory: Path = store.place / digest if digest else POCKET
    with suppress(BundleError):
        return glance(directory)
    return None


def _name(manifest: Manifest | None, digest: str) -> str:
    return manifest.name if manifest else digest[:12]


def _tokens(manifest: Manifest) -> tuple[str, int]:
    return manifest.tokenizer_fingerprint, manifest.vocabulary
