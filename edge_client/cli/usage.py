"""`edge-client usage`: what this device's texts spent at each target, day by day, and how that is forgotten."""

from __future__ import annotations

import argparse
import json
import sys

from edge_client.cli.console import CONTROLS
from edge_client.cli.usage_report import Line, as_dict, as_text
from edge_client.usage.daybook import Payee
from edge_client.usage.ledger import Ledger
from shared.errors import DamagedMemory, InputError


def run(options: argparse.Namespace) -> int:
    """Show what was spent, or forget it; returns the exit status.

    Raises:
        InputError: the ledger cannot be read or removed, or nobody confirmed that.
    """
    ledger = Ledger.at()
    if options.reset:
        return _reset(ledger, options.yes)
    if options.days < 1:
        raise InputError(f"days must be 1 or more, not {options.days}", options=("days",))
    lines, unknown = _read(ledger, options.days, options.target)
    if options.json:
        print(json.dumps(as_dict(lines, unknown)))
    else:
        print(as_text(lines, unknown, options.days).translate(CONTROLS))
    return 0


def _read(ledger: Ledger, days: int, target: str | None) -> tuple[list[Line], list[str]]:
    """What is on the pages, and what is not, a sentence each."""
    lines, unknown = [], []
    for day in ledger.days(days):
        try:
            page = ledger.page(day)
        except DamagedMemory as error:
            unknown.append(str(error))
            continue
        except OSError as error:
            raise InputError(
                f"cannot read {error.filename} ({error.strerror}); see who may read it, or set TANDEM_STATE to another "
                "directory"
            ) from error
        if ledger.is_incomplete(day):
            unknown.append(f"a damaged page of {day} was set aside as *.damaged in {ledger.directory}")
        lines += [Line(day, payee, figures) for payee, figures in page.items() if _is_meant(payee, target)]
    return lines, unknown


def _is_meant(payee: Payee, target: str | None) -> bool:
    if target is None:
        return True
    return target in (payee.address, payee.name) or (len(target) >= 4 and payee.fingerprint.startswith(target))


def _reset(ledger: Ledger, is_confirmed: bool) -> int:
    days = ledger.days()
    if not days:
        print(f"there was nothing to remove in {ledger.directory}")
        return 0
    if not is_confirmed:
        what = f"what was counted on {len(days)} day{'s' * (len(days) != 1)} since {days[0]}"
        if not sys.stdin.isatty():
            raise InputError(f"{what} would be removed, and caps begin anew; confirm that", options=("yes",))
        print(f"Remove {what}? Caps begin anew, too. [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return 0
    count = ledger.forget()
    print(f"removed {count} day{'s' * (count != 1)} from {ledger.directory}")
    return 0
