"""What a GGUF file says of itself: its fields, without the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.errors import InputError, first_line


def read_fields(path: Path) -> dict[str, Any]:
    """Every field by its name, as numbers, strings and lists of them.

    Raises:
        InputError: there is no such file, it is no whole GGUF file, or only a part of a model.
    """
    from gguf import GGUFReader

    try:
        with open(path, "rb") as file:
            if file.read(4) != b"GGUF":
                raise InputError(f"{path} is no GGUF file; give one, or a directory with --target to other commands")
        fields = {name: field.contents() for name, field in GGUFReader(path).fields.items()}
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror or error}); give a GGUF file") from error
    except (ValueError, IndexError, KeyError, TypeError) as error:  # as the reader says that a file ends too soon
        raise InputError(f"{path} is damaged or cut short ({first_line(error)}); get it again") from error
    if int(fields.get("split.count") or 1) > 1:
        raise InputError(
            f"{path} is one of {fields['split.count']} parts of a model; join them first (llama-gguf-split --merge)"
        )
    return fields
