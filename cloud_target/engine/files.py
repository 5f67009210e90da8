"""A target's files: where they are, what they must hold, and the fingerprint over them. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from cloud_target.engine import hub
from cloud_target.engine.settings import POCKET
from shared.errors import InputError, first_line
from shared.identity import file_digest, weights_fingerprint

POCKET_DIRECTORY = Path(__file__).resolve().parents[1] / "models" / "pocket_target"

# What an adapter lies in; the first is beside each, and what transformers looks for.
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
# What a configuration says about files, tools and generation, rather than about the function that the model computes.
_INCIDENTAL = {
    *("_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version", "use_cache"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "_attn_implementation_autoset"),
}


def find_directory(name: str, fetch: Callable[[str, str], str] = hub.fetch) -> Path:
    """The directory of a target given as "pocket", a path, or a Hugging Face id.

    Args:
        fetch: gets one file (id, file name) from the hub and returns its path; by default transformers' own way.

    Raises:
        InputError: it is nowhere, or has no config.json.
    """
    path = POCKET_DIRECTORY if name == POCKET else Path(name).expanduser()
    if path.is_dir():
        refuse_adapter(path)
        if not (path / "config.json").is_file():
            raise InputError(f"{path} has no config.json; give the directory of a Hugging Face model")
        return path
    if name == POCKET:
        raise InputError(f"the embedded target is missing from this installation ({path}); install Tandem again")
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise InputError(f"there is no directory {path}; give a model's directory, a Hugging Face id, or {POCKET}")
    refuse_adapter(name, fetch)
    try:
        # config.json last: what it lies beside is the snapshot that the other files are in.
        for file in ("tokenizer.json", "config.json"):
            found = fetch(name, file)
    except OSError as error:
        raise InputError(
            f"{name} is neither a directory here nor to be had from the Hugging Face hub "
            f"({first_line(error)}); check the name and the network, or use --target {POCKET}"
        ) from error
    return Path(found).parent


def refuse_adapter(source: str | Path, fetch: Callable[[str, str], str] = hub.fetch) -> None:
    """An adapter is left out where its library is missing, and changes the model where it is not.

    Args:
        source: a directory or a Hugging Face id.
        fetch: as in `find_directory`.

    Raises:
        InputError: there is one.
    """
    path, found = Path(source).expanduser(), None
    if path.is_dir():
        found = next((file for file in _ADAPTER if (path / file).is_file()), None)
    else:
        with suppress(OSError):  # there is none
            found = Path(fetch(str(source), _ADAPTER[0])).name
    if found:
        raise InputError(
            f"{source} holds an adapter ({found}), which is not read here; merge it into its model first, with peft's "
            "merge_and_unload, and give the directory of what that made"
        )


def read_config(directory: Path) -> dict[str, Any]:
    """The model's configuration as it is in the file.

    Raises:
        InputError: damaged.
    """
    return read_json(directory / "config.json")


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """Ids are below this; it counts gaps too."""
    return 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())


def weight_files(directory: Path) -> list[Path]:
    """The files that transformers reads the weights from, in order of name; variants lying beside them do not count.

    Raises:
        InputError: there are none.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (directory / name).is_file():
            return [directory / name]
        if (index := directory / f"{name}.index.json").is_file():
            parts = read_json(index).get("weight_map")
            if not isinstance(parts, dict) or not all(isinstance(part, str) for part in parts.values()):
                raise InputError(f"{index} does not say which files the weights are in; get the model again")
            return [directory / part for part in sorted(set(parts.values()))]
    raise InputError(f"{directory} has no weights (model.safetensors); get the model again")


def read_json(path: Path) -> dict[str, Any]:
    """An object that stands in a file of a model.

    Raises:
        InputError: damaged.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}); get the model again") from error


def target_fingerprint(directory: str | Path) -> str:
    """Digest of the architecture and of the weight files' bytes: the same on every device and in every dtype.

    Raises:
        InputError: a file is missing or damaged.
    """
    directory = Path(directory)
    config = {key: value for key, value in read_config(directory).items() if key not in _INCIDENTAL}
    files = weight_files(directory)
    for file in files:
        if not file.is_file():
            raise InputError(f"{directory} lacks {file.name}, with some of its weights; get the model again, whole")
    with ThreadPoolExecutor() as pool:  # hashing lets other threads run, and big models come in many files
        digests = [digest.encode() for digest in pool.map(file_digest, files)]
    return weights_fingerprint(json.dumps(config, sort_keys=True), zip((f.name for f in files), digests, strict=True))
