"""Reading a checkpoint's model: every key of its configuration obeyed and every weight in its place, or a sentence."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedModel
from transformers.utils import cached_file

from cloud_target.engine.files import weight_files
from cloud_target.engine.hf.configuration import read_configuration
from cloud_target.engine.hf.quantised import check_not_quantised
from cloud_target.engine.hf.typed import Loaded, from_pretrained
from shared.errors import InputError, TandemError, first_line


def read_model(source: str | Path, dtype: torch.dtype, attention: str) -> PreTrainedModel:
    """A causal language model on the CPU, as the checkpoint has it.

    Args:
        source: a directory or a Hugging Face id.
        dtype: of its weights.
        attention: transformers' name for how attention is computed; "eager" where the model has no such.

    Raises:
        InputError: it cannot be read, or would not be what the checkpoint says.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    config = None
    try:
        config = read_configuration(source)
        if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise InputError(f"{source} is no causal language model ({config.model_type}); take one that writes text")
        try:
            loaded = from_pretrained(source, config, dtype, attention)
        except ValueError as error:
            if attention == "eager" or "scaled_dot_product" not in str(error):
                raise
            loaded = from_pretrained(source, config, dtype, "eager")
    except InputError:
        raise
    except Exception as error:  # a library, files of any age: anything can come
        if Path(source).is_dir():
            weight_files(Path(source))  # the likeliest reason has a better sentence
        check_not_quantised(config, str(source), first_line(error))
        raise InputError(
            f"transformers {transformers.__version__} cannot load {source} as a causal language model "
            f"({first_line(error)}); get it again, whole"
        ) from error
    _check_weights(loaded, source, dtype)
    return loaded.model


@contextmanager
def one_sentence(what: str) -> Iterator[None]:
    """Whatever a library comes up with in this block is a refusal in one sentence, that begins with `what`.

    Raises:
        InputError: in place of an error that is none of ours.
    """
    try:
        yield
    except TandemError:
        raise
    except Exception as error:
        raise InputError(f"{what} ({type(error).__name__}: {first_line(error)}); take another model") from error


def _check_weights(loaded: Loaded, source: str | Path, dtype: torch.dtype) -> None:
    """transformers only warns of these: it fills gaps with noise, and leaves out what has no place.

    Raises:
        InputError: weights and configuration are not of one model, or the weights hold values that are not numbers.
    """
    if loaded.missing:
        raise InputError(
            f"{source} lacks {len(loaded.missing)} of the model's weights ({loaded.missing[0]}, ...); get it again, "
            "whole"
        )
    if loaded.unexpected:
        raise InputError(
            f"{source} has {len(loaded.unexpected)} weights that a {type(loaded.model).__name__} has no place for "
            f"({loaded.unexpected[0]}, ...), so config.json is of another model; get the two from the same place"
        )
    _check_values(loaded.model, source, dtype)
    for name, weight in loaded.model.named_parameters():
        if not torch.isfinite(weight.sum(dtype=torch.float32)):
            raise InputError(f"the weights of {source} hold values that are not numbers ({name}); get it again, whole")


def _check_values(model: PreTrainedModel, source: str | Path, dtype: torch.dtype) -> None:
    """Weights that transformers may read as something else than what the file holds, in silence: it ties some to others
    where the configuration says so, whatever the checkpoint has there, and keeps some in a narrow type.

    Raises:
        InputError: so it is here.
    """
    doubtful = {name for name, weight in model.named_parameters() if weight.dtype.itemsize < dtype.itemsize}
    doubtful.update(getattr(model, "_tied_weights_keys", None) or ())
    for path in weight_files(Path(str(cached_file(str(source), "config.json"))).parent):
        for name, weight in _weights(path, doubtful):
            if not torch.equal(weight.to(dtype), model.get_parameter(name).to(dtype)):
                raise InputError(
                    f"transformers {transformers.__version__} reads weights of {source} as something else than "
                    f"what is in the file ({name}): it rounds them, or ties them to others, as config.json says; "
                    "get weights and configuration from the same place, or take another version"
                )


def _weights(path: Path, names: set[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Those of a file's weights that have one of the names."""
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            for name in sorted(names & set(file.keys())):
                yield name, file.get_tensor(name)
    elif names:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        yield from ((name, held[name]) for name in sorted(names & held.keys()))
