"""Amounts of memory as people write them: 2GiB, 512MB, 1.5GiB."""

from __future__ import annotations

import re

from shared.errors import InputError

_UNITS = {"": 1, "B": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("KMGT", start=1)
    for suffix, base in (("iB", 1024), ("B", 1000))
}


def parse_size(text: str) -> int:
    """Bytes that a text such as "2GiB" means. KB, MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB of 1024.

    Raises:
        InputError: it is not an amount of memory.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    units = {unit.lower(): size for unit, size in _UNITS.items()}
    if not found or found[2].lower() not in units:
        raise InputError(f'"{text}" is not an amount of memory; write a number and a unit, such as 512MiB or 2GiB')
    size = int(float(found[1]) * units[found[2].lower()])
    if size < 1:
        raise InputError(f'"{text}" is less than a byte; write an amount above 0, such as 512MiB')
    return size


def show_size(size: int) -> str:
    """Bytes in the largest binary unit that leaves a number of 1 or more, such as "1.5 GiB"."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.4g} {unit}"
    return f"{size} B"
