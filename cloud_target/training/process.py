"""Setting up a process for long computations on a CPU, before torch is imported."""

from __future__ import annotations

import ctypes
import os

# The names of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4


def prepare(threads: int | None = None) -> None:
    """Make torch's work on the CPU safe and undisturbed; call it before anything imports torch.

    Args:
        threads: for torch to use; as many as it takes by itself if not given.
    """
    # Threads that spin while they wait slow everything down tenfold as soon as anything else wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    keep_memory()
    from cloud_target.engine.hf.cpu import guard_bfloat16

    guard_bfloat16()
    if threads:
        import torch

        torch.set_num_threads(threads)


def keep_memory() -> bool:
    """Let freed memory be used again instead of giving it back; False where the C library is not glibc.

    Logits are hundreds of megabytes. Asking the system for them anew in every step, and touching each page for the
    first time, was a quarter of the time of a forward pass.
    """
    try:
        set_option = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    options = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28))
    return all([set_option(option, value) for option, value in options])
