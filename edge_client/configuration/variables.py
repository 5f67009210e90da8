"""Environment variables that are no options, and those that nothing reads."""

from __future__ import annotations

import os
from collections.abc import Collection

PREFIX = "TANDEM_"
# Of `cloud-target serve`, which may be on the same machine.
_OF_THE_CLOUD = "TANDEM_SERVE_"
# What they do. Of secrets nobody is told more than whether they are there.
OTHERS = {
    "TANDEM_CONFIG": "the configuration file, in the place of the user's own",
    "TANDEM_STATE": "the directory of what audits have taught, of what was typed in chats, and of what was spent",
    "TANDEM_BUNDLES": "the directory of bundles that targets have sent",
    "TANDEM_BUNDLES_KEEP_DAYS": "days after its last use that a superseded bundle is kept",
    "TANDEM_LARGEST_BUNDLE": "the largest bundle that is fetched, such as 8GiB",
    "TANDEM_LOCAL_ONLY": "1: this machine writes alone, and nothing leaves it",
    "TANDEM_TOKEN": "the token for the target, in the place of a file",
    "TANDEM_API_KEY": "the key that clients of `edge-client serve` show, in the place of a file",
}
SECRETS = frozenset({"TANDEM_TOKEN", "TANDEM_API_KEY"})
# Of programs other than this one.
FOREIGN = frozenset({"TANDEM_COMPOSE_SCHEMA"})


def present() -> dict[str, str]:
    """Those of `OTHERS` that are set, and what to; secrets are "(set)"."""
    return {name: "(set)" if name in SECRETS else value for name in OTHERS if (value := os.environ.get(name))}


def unread(options: Collection[str]) -> list[str]:
    """Those that look like ours, and that nothing reads: a sentence each.

    Args:
        options: the variables of all options.
    """
    from difflib import get_close_matches

    known = [*options, *OTHERS]
    found = []
    for name in sorted(os.environ):
        if (
            name.startswith(PREFIX)
            and not name.startswith(_OF_THE_CLOUD)
            and name not in (*known, *FOREIGN)
            and os.environ[name]
        ):
            near = get_close_matches(name, known, 1, 0.6)
            found.append(f"{name} is set, and nothing reads it" + (f"; did you mean {near[0]}?" if near else ""))
    return found
