"""From settings to an engine that is ready: the target's files are found, read, and given their cache."""

from __future__ import annotations

import os
from collections.abc import Callable

from cloud_target.engine.interface import Engine
from cloud_target.engine.settings import EngineSettings


def load_engine(settings: EngineSettings, tell: Callable[[str], None] = lambda _: None) -> Engine:
    """The target and its cache.

    Args:
        tell: is told, in a sentence, what is otherwise than usual about it.

    Raises:
        InputError: the target cannot be loaded or served.
    """
    # Threads that spin while they wait slow down whatever else wants a core, above all the edge beside it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    from cloud_target.engine.hf.engine import TargetEngine
    from cloud_target.engine.hf.model import load_target
    from cloud_target.engine.hf.reading import one_sentence

    if settings.threads:
        torch.set_num_threads(settings.threads)
    with one_sentence(f"{settings.target} cannot be served"):
        target = load_target(settings.target, settings.device, settings.dtype)
        return TargetEngine(target, settings.kv_memory, settings.context, tell)
