"""`cloud-target`: what must hold before anything is loaded, and then the command line."""

from __future__ import annotations

import sys

from shared.interrupts import end_at_once, leave
from shared.quiet import leave_nothing_behind
from shared.streams import mend_streams


def main() -> int:
    """Run the command line; returns the exit status."""
    end_at_once()
    mend_streams()
    leave_nothing_behind()
    from cloud_target.cli import main as run

    status = run()
    if sys.argv[1:2] == ["serve"]:
        leave(status)  # whoever stops a server waits for its end
    return status


if __name__ == "__main__":
    sys.exit(main())
