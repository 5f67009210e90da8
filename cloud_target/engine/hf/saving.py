"""Checkpoints on the disk, as any other file that a user makes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel


def save_model(model: PreTrainedModel, directory: str | Path, **how: Any) -> None:
    """Write a model's weights and configuration into a directory, for whom the user's umask lets read them.

    safetensors keeps what it writes to its owner (mode 600), whatever the umask; nobody else could serve such a model.

    Args:
        how: further arguments of transformers' `save_pretrained`.

    Raises:
        OSError, SafetensorError: they cannot be written.
    """
    model.save_pretrained(directory, **how)
    place = Path(directory)
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        probe = Path(scratch, "file")
        probe.touch()
        mode = probe.stat().st_mode & 0o777  # the umask cannot be read, but by setting it for all threads
    for path in place.glob("*.safetensors"):
        path.chmod(mode)
