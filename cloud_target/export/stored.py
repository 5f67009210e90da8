"""In which dtype the files of a checkpoint have its weights, so that reading them takes no more memory than they do."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import safe_open

from cloud_target.engine import hub
from cloud_target.engine.files import find_directory, weight_files

_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_ONE = "model.safetensors"


def weights_dtype(source: str | Path) -> torch.dtype:
    """The one dtype that all weights of a directory or a Hugging Face id have, if that is a narrow one; else float32.

    Raises:
        InputError: there are none.
    """
    if not Path(source).is_dir():
        _fetch(str(source))
    found: set[torch.dtype] = set()
    for path in weight_files(find_directory(str(source))):
        if path.suffix != ".safetensors":
            return torch.float32
        # Whatever is wrong with a file has its sentence when it is read.
        with suppress(Exception), safe_open(path, "pt") as file:
            kinds = {file.get_slice(name).get_dtype() for name in set(file.keys())}
            found |= {_FLOATS[kind] for kind in kinds & _FLOATS.keys()}
    return found.pop() if len(found) == 1 and found <= {torch.float16, torch.bfloat16} else torch.float32


def _fetch(name: str) -> None:
    """Have the weights of a Hugging Face id here, as its model wants them in a moment anyway."""
    with suppress(OSError):
        hub.fetch(name, _ONE)
        return
    with suppress(OSError, ValueError, KeyError, AttributeError):
        index = json.loads(Path(hub.fetch(name, f"{_ONE}.index.json")).read_text(encoding="utf-8"))
        for part in set(index["weight_map"].values()):
            hub.fetch(name, part)
