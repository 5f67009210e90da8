"""From settings to an engine that is ready: the target's files are found, read, and given their cache."""

from __future__ import annotations

import os

from cloud_target.engine.interface import Engine
from cloud_target.engine.settings import EngineSettings


def load_engine(settings: EngineSettings) -> Engine:
    """The target and its cache.

    Raises:
        InputError: the target cannot be loaded or served.
    """
    # Threads that spin while they wait slow down whatever else wants a core, above all the edge beside it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    from cloud_target.engine.hf.engine import TargetEngine
    from cloud_target.engine.hf.model import load_target

    if settings.threads:
        torch.set_num_threads(settings.threads)
    target = load_target(settings.target, settings.device, settings.dtype)
    return TargetEngine(target, settings.kv_memory, settings.context)
