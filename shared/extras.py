"""Packages that only some installations have: one sentence where one is missing, in the place of a traceback."""

from __future__ import annotations

import sys
from types import TracebackType

from shared.errors import InputError, first_line

# What the extras of `pyproject.toml` bring, by the names under which it is imported.
PACKAGES = frozenset(
    {
        "accelerate",
        "gguf",
        "grpc",
        "grpc_health",
        "grpc_reflection",
        "llguidance",
        "matplotlib",
        "onnx",
        "onnxruntime",
        "onnxscript",
        "opentelemetry",
        "optimum",
    }
    | {"prometheus_client", "safetensors", "starlette", "torch", "tqdm", "transformers", "uvicorn"}
)


def missing(error: ImportError, what: str, extras: str) -> InputError | None:
    """The error for a user whose installation lacks what `what` needs; None if `error` is not about such a package.

    Args:
        extras: that bring it, as pip takes them: "train", or "edge,cloud".
    """
    package = (error.name or "").partition(".")[0]
    if package not in PACKAGES:
        return None
    how = f'install Tandem\'s extra {extras}: in its directory, pip install ".[{extras}]"'
    if isinstance(error, ModuleNotFoundError):
        return InputError(f"{what} needs the package {package}, which is not installed; {how}")
    return InputError(f"{what} cannot use the package {package} that is installed ({first_line(error)}); {how}")


def explain_missing(what: str, extras: str) -> None:
    """Let this process say in one sentence which extras it lacks, in the place of a traceback at its end."""
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if isinstance(error, ImportError) and (why := missing(error, what, extras)):
            print(why, file=sys.stderr)
        else:
            usual(kind, error, traceback)

    sys.excepthook = hook
