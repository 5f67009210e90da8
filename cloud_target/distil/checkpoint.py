"""The draft on the disk: a checkpoint as transformers has it, with its card and its table; whole, or not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from cloud_target.engine.hf.reading import read_model
from cloud_target.engine.hf.saving import save_model
from cloud_target.engine.hf.trial import TOLERANCE, alone, distance, trial_text
from cloud_target.engine.hf.typed import move
from cloud_target.training.work import to_disk
from shared.errors import InputError, first_line

# The table for programs, by which a directory is known for one of ours.
TABLE = "agreement.json"
# What says how texts are read, begun and ended: as they stand in the checkpoint that the draft began as.
_TEXT_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
)
_TRIED = 48


@contextmanager
def saving(directory: Path) -> Iterator[None]:
    """For the length of a block in which files are written, and nothing else is done.

    Raises:
        InputError: there is no room, or they cannot be written for another reason.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's and safetensors' ways to say the first
        why = getattr(error, "strerror", None) or first_line(error)
        raise InputError(
            f"cannot write to {directory} ({why}); make room there, and give the same command again: what was saved "
            "before is whole, and the run goes on from it"
        ) from error


def check_place(out: Path) -> None:
    """See that a draft may be written there.

    Raises:
        InputError: something else is there.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give a directory for the draft")
    if out.is_dir() and any(out.iterdir()) and not (out / TABLE).is_file():
        raise InputError(f"{out} holds something that is no draft of this command; give a new directory")


def write(
    model: PreTrainedModel, dtype: torch.dtype, text_files: Path, pages: Mapping[str, str], out: Path, check: bool
) -> None:
    """Write a draft, or put it in the place of an earlier one of the same run, file by file.

    Args:
        model: float32, with values of `dtype`; it is of no use afterwards.
        dtype: that the weights are written in.
        text_files: the directory with the tokenizer.
        pages: further text files, by name.
        out: the directory.
        check: read it back, and hold it against the model.

    Raises:
        InputError: it cannot be written, or is another model when it is read.
    """
    scratch = out.with_name(f".{out.name}.{os.getpid()}.new")
    rows = model.get_output_embeddings().weight.shape[0]
    text = trial_text(_TRIED, rows)
    truth = alone(model, text, rows) if check else None
    try:
        with saving(out.parent):
            scratch.mkdir(parents=True)
            save_model(model.to(dtype), scratch, max_shard_size="1TB")  # type: ignore[arg-type]  # its types hide `to`
            for name in _TEXT_FILES:
                if (text_files / name).is_file():
                    shutil.copyfile(text_files / name, scratch / name)
            for name, page in pages.items():
                (scratch / name).write_text(page, encoding="utf-8")
            to_disk(scratch)
        if truth is not None:
            again = move(read_model(scratch, torch.float32, "eager"), truth.device).eval()
            if not distance(alone(again, text, rows), truth) <= TOLERANCE[torch.float32]:
                raise InputError(
                    f"{type(model).__name__} cannot be cut: its checkpoint is read as another model than was written; "
                    "give a smaller model of the family with --from"
                )
        with saving(out.parent):
            _put(scratch, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_pages(pages: Mapping[str, str], out: Path) -> None:
    """Put text files in the place of earlier ones.

    Raises:
        InputError: they cannot be written.
    """
    with saving(out):
        for name, text in pages.items():
            scratch = out / f".{name}.new"
            scratch.write_text(text, encoding="utf-8")
            scratch.replace(out / name)


def as_json(content: object) -> str:
    """JSON for a file."""
    return json.dumps(content, indent=1) + "\n"


def _put(scratch: Path, out: Path) -> None:
    """The weights last: until then what is there is the earlier draft."""
    if not out.is_dir():
        scratch.rename(out)
        return
    for path in sorted(scratch.iterdir(), key=lambda path: path.suffix == ".safetensors"):
        path.replace(out / path.name)
