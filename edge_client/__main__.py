"""`edge-client`: what must hold before anything is loaded, and then the command line."""

from __future__ import annotations

import sys

from shared.interrupts import end_at_once
from shared.streams import mend_streams


def main() -> int:
    """Run the command line; returns the exit status."""
    end_at_once()
    mend_streams()
    from edge_client.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
