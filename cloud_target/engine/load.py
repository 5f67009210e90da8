"""From settings to an engine that is ready: the target's files are found, read, and given their cache."""

from __future__ import annotations

import os
from collections.abc import Callable

from cloud_target.engine.interface import Engine
from cloud_target.engine.settings import EngineSettings
from shared.errors import InputError
from shared.machine import available_memory

# Threads that no machine is too small for, and threads a core; of many more, libraries crash instead of saying so.
_THREADS, _A_CORE = 64, 4


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

    from cloud_target.engine.hf.capacity import check_memory
    from cloud_target.engine.hf.engine import TargetEngine
    from cloud_target.engine.hf.model import choose_device, load_target
    from cloud_target.engine.hf.reading import one_sentence

    check_threads(settings.threads)
    if settings.kv_memory:
        # Worth knowing before a large model is loaded.
        check_memory(settings.kv_memory, choose_device(settings.device), available_memory())
    if settings.threads:
        torch.set_num_threads(settings.threads)
    with one_sentence(f"{settings.target} cannot be served"):
        target = load_target(settings.target, settings.device, settings.dtype)
        return TargetEngine(target, settings.kv_memory, settings.context, tell)


def check_threads(wanted: int | None) -> None:
    """Refuse a number of threads that this machine is far too small for.

    Raises:
        InputError: so many would crash, or do nothing but wait for each other.
    """
    cores = os.cpu_count() or 1
    most = max(_THREADS, _A_CORE * cores)
    if wanted is not None and wanted > most:
        raise InputError(
            f"{wanted} threads are far too many for {cores} cores; leave --threads out, or give at most {most}"
        )
