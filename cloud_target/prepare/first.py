"""A first bundle of a long run: made of a small part of the text and rows, while the rest is still to be written.

It is a run of its own, in a directory of its own, with the same recipe: so the final bundle is the same to the bit with
and without one, and what was interrupted goes on. What it costs is the time that it takes, which is told beforehand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cloud_target.prepare import texts
from cloud_target.prepare.pair import Pair
from cloud_target.prepare.settings import Settings
from cloud_target.prepare.texts import LEAST_TOKENS, TEXTS, speed_of
from cloud_target.training.time_left import duration
from cloud_target.training.work import Stage, Work, code
from shared.manifest import read_manifest

DIRECTORY = "first"
# A run that is not so many times as long as its first bundle's is short enough to be waited for.
_WORTH_IT = 3


def smaller(
    work: Work, pair: Pair, draft: Stage, documents: Stage, settings: Settings, tell: Callable[[str], None]
) -> Settings | None:
    """What to make a first bundle with, so that it takes about as long as was asked for; None where there is to be
    none: the run is short, is nearly over, or has a place where a bundle lies, which only a finished one replaces.

    Args:
        work: where it is kept how much of the whole that is, for a run that goes on.
        draft, documents: as for the whole.
        tell: is told that it begins, and how long it takes.
    """
    if not settings.first_after or settings.place.exists() or (work.directory / "heads").exists():
        return None
    total = settings.own_tokens * sum(text.share for text in TEXTS)
    if total <= _WORTH_IT * LEAST_TOKENS:
        return None

    def make(directory: Path) -> None:
        speed = speed_of(pair, documents, read_manifest(draft.directory).context)
        tokens = max(settings.first_after * 60 * speed, LEAST_TOKENS)
        found = {"share": tokens / total, "seconds": tokens / speed}
        (directory / "share.json").write_text(json.dumps(found), encoding="utf-8")

    key = pair.target_key | {"own tokens": settings.own_tokens, "minutes": settings.first_after}
    key |= {"code": code(sys.modules[__name__], texts)}
    found = json.loads((work.stage("first-share", key, make, [draft, documents]) / "share.json").read_text())
    if found["share"] * _WORTH_IT > 1:
        return None
    tell(f"  a first bundle comes before all of it, in about {duration(found['seconds'])}")
    share = found["share"]
    rows, own_tokens = (max(1, round(share * count)) for count in (settings.rows, settings.own_tokens))
    return replace(settings, rows=rows, own_tokens=own_tokens, part=share)


def of_rows(rows: int, part: float) -> dict[str, int]:
    """What the report says of a first bundle: the rows that it was trained on, and about how many there will be."""
    return {"rows": rows, "of about": round(rows / part)}
