"""How often the target disagrees with itself in the arithmetic that it is served in, measured on the report's text."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from cloud_target.engine.hf import rounding
from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.prepare.pair import Pair
from cloud_target.prepare.settings import Settings
from cloud_target.prepare.texts import Text
from cloud_target.training.own_text import OwnText
from cloud_target.training.work import Stage, Work, code
from shared.rounding import REPEATABLE, Disagreement, by_rounding, read_disagreement

# Positions for each way of sampling: so many passes over one token, and some more.
_POSITIONS = 512
# For keys and values, bytes: of one text.
_MEMORY = 1 << 30
_FILE = "disagreement.json"


def measure_disagreement(
    work: Work, pair: Pair, own: Mapping[Text, Stage], settings: Settings, tell: Callable[[str], None]
) -> list[Disagreement]:
    """For each way of sampling that there is text of; none where the target is repeatable.

    Args:
        own: the target's own text; that of the report is read.
    """
    if pair.target_dtype == REPEATABLE:
        return []
    texts = {text: stage for text, stage in own.items() if text.split == "report"}

    def make(directory: Path) -> None:
        pair.release()  # what serves is read anew, just as `serve` does it
        engine = TargetEngine(load_target(settings.target, settings.device, pair.target_dtype), _MEMORY)
        found = []
        for text, stage in texts.items():
            chosen, left = [], _POSITIONS
            written = OwnText.load(stage / "own.npz")
            for ids, opening in zip(written.documents, written.openings.tolist(), strict=True):
                if left > 0 and opening < len(ids):
                    chosen.append((ids[: opening + left].tolist(), opening))
                    left -= len(ids) - opening
            found.append(rounding.disagreement(engine, chosen, text.sampling))
            tell(f"    {by_rounding(found[-1:])}")
        (directory / _FILE).write_text(json.dumps([asdict(one) for one in found]), encoding="utf-8")

    key = pair.target_key | {"positions": _POSITIONS, "code": code(sys.modules[__name__], rounding)}
    say = f"how often the target disagrees with itself in {pair.target_dtype}"
    stage = work.stage("disagreement", key, make, list(texts.values()), say)
    return read_disagreement(json.loads((stage / _FILE).read_text(encoding="utf-8")))
