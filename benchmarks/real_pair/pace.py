"""How long a step of the draft takes beside one of the target, and how fast each mode is over each link."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.foretold import LEGEND, rows_of, table
from benchmarks.real_pair.plan import Pair
from benchmarks.real_pair.questions import some
from benchmarks.tables import markdown_table
from cloud_target.engine.interface import Feed
from cloud_target.engine.load import load_engine
from cloud_target.engine.settings import EngineSettings
from edge_client.settings import Settings
from shared.config import Sampling

STEP = "A step of the draft, beside one of the target"
SPEED = "How fast is each mode, and does `edge-client doctor --pair` foretell it?"
_WARM, _STEPS = 5, 60


def steps(pair: Pair) -> str:
    """One token each in turns, as device and cloud run them on a machine that has nothing else to do."""
    engine = load_engine(EngineSettings(pair.target, "cpu", "float32"))
    ids = pair.prompt(some(1)[0])
    took: dict[str, list[float]] = {"draft": [], "target": []}
    with pair.loaded.models.lend() as models:
        models.draft.feed(ids)
        engine.forward([Feed(0, 0, tuple(ids), len(ids) - 1, Sampling())])
        for place in range(len(ids), min(len(ids) + _WARM + _STEPS, engine.context, models.draft.context)):
            begin = time.perf_counter()
            models.draft.feed(ids[:1])
            middle = time.perf_counter()
            engine.forward([Feed(0, place, (ids[0],), 0, Sampling())])
            took["draft"].append(middle - begin)
            took["target"].append(time.perf_counter() - middle)
    draft, target = (median(spans[_WARM:]) for spans in took.values())
    size = (pair.bundle / "draft.onnx").stat().st_size / 1e6
    rows = [
        [f"draft, {pair.loaded.manifest.draft.dtype}, {size:.0f} MB", f"{1e3 * draft:.1f}", f"{draft / target:.2f}"],
        ["target, float32", f"{1e3 * target:.1f}", "1.00"],
    ]
    return markdown_table(["", "ms a token, median", "of the target's"], rows)


def speeds(pair: Pair) -> str:
    """Every mode over every link, with the target as it is and slowed down, beside what the doctor says beforehand."""
    settings = Settings(max_tokens=pair.plan.tokens)
    prompts = [pair.prompt(question) for question in some(pair.plan.prompts)]
    rows = [
        row
        for step in pair.plan.steps
        for row in rows_of(pair.loaded, pair.target, (step, 0.0), pair.plan.links, prompts, settings, pair.plan.seconds)
    ]
    slowed = ", ".join(f"{step:g}" for step in pair.plan.steps if step)
    told = f" A pass lasts as long as it does on this machine, or {slowed} ms at least." if slowed else ""
    shared = "`sprint` under its default budget, by a device that begins. Device, relay and target share the cores."
    return f"{table(rows)}\n\n{LEGEND}{told}\n{shared}"
