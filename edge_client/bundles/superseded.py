"""Bundles that targets have sent, and that no target is met with any more: they go, some time after their last use."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from time import time

from edge_client.bundles.holding import alone_with
from edge_client.bundles.store import Kept, Store
from shared.errors import InputError
from shared.sizes import show_size

# In the environment: days after its last use that such a bundle is kept.
KEEP_DAYS = "TANDEM_BUNDLES_KEEP_DAYS"
_KEEP_DAYS = 30.0
_DAY = 86400.0


def keep_days() -> float:
    """How long they are kept, days.

    Raises:
        InputError: the environment says no such number.
    """
    given = os.environ.get(KEEP_DAYS)
    try:
        days = float(given) if given else _KEEP_DAYS
    except ValueError:
        days = math.nan
    if not days >= 0:
        raise InputError(f"{KEEP_DAYS} must be a number of days, 0 or more, not {given!r}")
    return days


def remove_superseded(
    store: Store, needed: Collection[str], notify: Callable[[str], None], now: Callable[[], float] = time
) -> None:
    """Remove what is superseded, and tell of each; never raises, for it is nobody's errand.

    What the user has added stays, and what any program has loaded just now.

    Args:
        needed: digests of bundles that may be gone back to.
        now: seconds since 1970.
    """
    try:
        days = keep_days()
    except InputError as error:
        notify(f"no old bundle is removed: {error}")
        return
    known = store.uses.read()
    stays = {*needed, *known.added, *known.addresses.values()}
    for kept in store.kept():
        if kept.digest in stays or now() - _last_used(kept) < _DAY * days:
            continue
        with suppress(InputError), alone_with(kept.directory) as nobody_uses_it:
            if nobody_uses_it:
                store.remove(kept.directory)
                notify(
                    f"the older bundle {kept.name} ({show_size(kept.size)}) was not used for {days:g} days, and is "
                    f"removed; {KEEP_DAYS} says how long they are kept"
                )


def _last_used(kept: Kept) -> float:
    """When it was last used, or came, if it never was; seconds since 1970."""
    if kept.used is not None:
        return kept.used
    with suppress(OSError):
        return kept.directory.stat().st_mtime
    return math.inf
