"""The state of a training run on the disk: one file, that is the last one whole or the one before it."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from cloud_target.distil.checkpoint import saving
from shared.errors import InputError, first_line

_NAME = "state.pt"


def save(state: dict[str, Any], directory: Path) -> None:
    """Write a state, which counts once it is whole and on the disk.

    Args:
        state: tensors, numbers, strings, and dicts and lists of them.

    Raises:
        InputError: there is no room for it; the one before is kept.
    """
    scratch = directory / f".{_NAME}.new"
    try:
        with saving(directory):
            with open(scratch, "wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(directory / _NAME)
    finally:
        scratch.unlink(missing_ok=True)


def load(directory: Path, device: str) -> dict[str, Any] | None:
    """What `save` wrote last; None if it never did.

    Raises:
        InputError: the file is damaged.
    """
    path = directory / _NAME
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InputError(
            f"cannot read the state of the run from {path} ({first_line(error)}); remove it to train from the "
            "beginning: the target's text is kept"
        ) from error
    return state
