"""Conversations in files, as JSON: written whole or not at all, and never over another file unless told to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from edge_client.cli.conversation import Conversation
from edge_client.state import replace_text
from shared.errors import InputError

# Bytes. No conversation that fits into a context comes near.
LARGEST = 1 << 24


def save(path: Path, kept: dict[str, Any], overwrite: bool) -> None:
    """Write what `kept` has into a file for this user's eyes only.

    Args:
        overwrite: if there is a file already, it is replaced.

    Raises:
        InputError: there is a file already, or it cannot be written.
    """
    text = json.dumps(kept, indent=1, allow_nan=False) + "\n"
    try:
        if overwrite:
            replace_text(path, text)
            return
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
            except BaseException:
                os.unlink(path)
                raise
    except FileExistsError:
        raise InputError(f"there is a file {path} already; give another name, or /save! {path}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {path} ({_why(error)}); nothing was saved") from error


def load(path: Path) -> Conversation:
    """The conversation that a file holds.

    Raises:
        InputError: it cannot be read, or holds none.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({_why(error)})") from error
    if len(data) > LARGEST:
        raise InputError(f"{path} is too large for a conversation")
    try:
        kept = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON, so there is no conversation in it") from None
    try:
        return Conversation.of(kept)
    except InputError as error:
        raise InputError(f"cannot use {path}: {error}") from None


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
