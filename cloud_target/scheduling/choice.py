"""Which scheduler an engine takes."""

from __future__ import annotations

from typing import Any, cast

from cloud_target.engine.interface import Engine, FlowingEngine
from cloud_target.scheduling.flow import FlowScheduler
from cloud_target.scheduling.scheduler import Scheduler
from cloud_target.telemetry.observer import NOBODY, Observer


def scheduler_for(engine: Engine, observer: Observer = NOBODY) -> Scheduler | FlowScheduler:
    """One that makes passes, or one that leaves that to the engine."""
    flowing: Any = getattr(engine, "most_at_once", None)
    return Scheduler(engine, observer) if flowing is None else FlowScheduler(cast(FlowingEngine, engine), observer)
