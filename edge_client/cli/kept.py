"""`edge-client bundle`: the bundles that this device keeps."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from edge_client.bundles.fetching import fetch
from edge_client.bundles.store import Kept, Store
from edge_client.cli.console import CONTROLS, say
from edge_client.cli.fetching import Fetching
from edge_client.cli.options import read_credentials
from edge_client.settings import see_that_a_target_may_be_asked
from edge_client.target.client import TargetClient
from shared.errors import BundleError
from shared.sizes import show_size

_SHORT = 12


def list_kept(options: argparse.Namespace) -> int:
    """Tell which bundles are kept; returns the exit status."""
    store = Store.of_this_user()
    kept = store.kept()
    if options.json:
        print(json.dumps([_as_dict(one) for one in kept]))
        return 0
    if not kept:
        print(f"no bundle is kept in {store.place}")
    else:
        head = ("bundle", "digest", "size", "made for", "verifiers", "last used", "by the targets at")
        print(_table([head, *map(_row, kept)]).translate(CONTROLS))
        print(f"kept in {store.place}")
    if unfinished := len(store.unfinished()):
        print(
            f"{unfinished} more did not come whole: the next try goes on from there, and "
            "`edge-client bundle remove --unfinished` removes what there is"
        )
    return 0


def pull(options: argparse.Namespace) -> int:
    """Fetch the bundle that a target offers; returns the exit status.

    Raises:
        TandemError: it offers none, does not send it, or it cannot be kept.
    """
    see_that_a_target_may_be_asked()
    store = Store.of_this_user()
    with TargetClient.connect(options.target, None, read_credentials(options), None, options.timeout, say) as client:
        contents = client.description.offered
        is_new = _forget_if_damaged(store, contents.digest)
        directory = fetch(client, contents, store.place, say, Fetching(sys.stderr))
        was_set_aside = store.uses.set_aside_at(client.address) == contents.digest
        store.uses.favour(client.address, contents.digest)
        store.uses.note(client.address, contents.digest)
    what = "fetched" if is_new else "there already is"
    _print(f"{what} {contents.name} ({show_size(contents.size)}): {directory}")
    if was_set_aside:
        _print(f"it was set aside for {client.address}, and is used with it again from the next text on")
    return 0


def _forget_if_damaged(store: Store, digest: str) -> bool:
    """Whether a bundle has to be fetched: there is none of that digest, or what was there was damaged, and is gone."""
    directory = store.find(digest)
    if directory is None:
        return True
    try:
        store.verify(directory)
    except BundleError as error:
        say(f"{error}; it is fetched again")
        store.remove(directory)
        return True
    return False


def add(options: argparse.Namespace) -> int:
    """Keep a copy of a directory; returns the exit status.

    Raises:
        BundleError: it is no bundle, or cannot be kept.
    """
    store = Store.of_this_user()
    contents = store.add(options.directory, lambda: say("another program adds the same bundle; waiting for it"))
    _print(f"kept {contents.name} ({show_size(contents.size)}): {store.place / contents.digest}")
    return 0


def verify(options: argparse.Namespace) -> int:
    """Compare bundles with their digests; returns the exit status, which is that of an error if one differs."""
    store = Store.of_this_user()
    status = 0
    for one in _meant(store, options.bundles):
        try:
            store.verify(one.directory)
            _print(f"{one.digest[:_SHORT]} {one.name}: every digest is right")
        except BundleError as error:
            status = error.exit_status
            _print(f"{one.digest[:_SHORT]} {one.name}: {error}")
    return status


def remove(options: argparse.Namespace) -> int:
    """Remove bundles; returns the exit status.

    Raises:
        InputError: one is not there, or cannot be removed.
    """
    store = Store.of_this_user()
    for one in [store.named(words) for words in options.bundles]:
        store.remove(one.directory)
        _print(f"removed {one.name} ({show_size(one.size)}): {one.directory}")
    for directory in store.unfinished() if options.unfinished else ():
        store.remove(directory)
        print(f"removed {directory}")
    return 0


def _print(line: str) -> None:
    """A line in which a name may stand that somebody else gave."""
    print(line.translate(CONTROLS))


def _meant(store: Store, words: Sequence[str]) -> list[Kept]:
    return [store.named(word) for word in words] if words else store.kept()


def _row(one: Kept) -> tuple[str, ...]:
    target = f"{one.manifest.target_name} ({one.manifest.target_fingerprint[:8]})" if one.manifest else "it is damaged"
    verifiers = ", ".join(one.manifest.verifiers) if one.manifest else "-"
    used = datetime.fromtimestamp(one.used, UTC).astimezone().strftime("%Y-%m-%d %H:%M") if one.used else "never"
    by = [*one.addresses, *(f"set aside for {address}" for address in one.set_aside)]
    return one.name, one.digest[:_SHORT], show_size(one.size), target, verifiers, used, ", ".join(by) or "-"


def _as_dict(one: Kept) -> dict[str, object]:
    manifest = one.manifest
    return {
        "name": one.name,
        "digest": one.digest,
        "directory": str(one.directory),
        "bytes": one.size,
        "target": {"name": manifest.target_name, "fingerprint": manifest.target_fingerprint} if manifest else None,
        "verifiers": list(manifest.verifiers) if manifest else None,
        "used": one.used,
        "addresses": list(one.addresses),
        "set_aside": list(one.set_aside),
    }


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
