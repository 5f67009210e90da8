"""From a GGUF file to a directory that every command takes for a model."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from cloud_target.engine.hf.model import DTYPES
from cloud_target.engine.hf.reading import one_sentence
from cloud_target.engine.hf.saving import save_model
from cloud_target.engine.tokens import read_tokens
from cloud_target.export.checkpoint import load_checkpoint
from cloud_target.gguf.file import read_fields
from cloud_target.gguf.words import check_same_words, tokenizer_of
from shared.errors import InputError, first_line

# What a model is asked to read, to see that it knows a language; of nothing known it is told what it costs too.
_ENGLISH = (
    "The sun rose over the small town, and the people began their day. A boy walked to school with his friends, while "
    "his mother went to the market to buy bread, milk and a few apples. In the afternoon it began to rain."
)
# Share of what a model that knows nothing would need, above which there is reason to doubt that it was read as meant.
_DOUBTFUL = 0.7
_ENDS = ("eos", "eot", "eom")


def convert(
    path: Path, out: Path, dtype: str, tokenizer: str | None = None, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Write the model of a GGUF file as a checkpoint of transformers.

    Args:
        path: the file.
        out: a directory that is not there yet.
        dtype: a key of `DTYPES`, that weights are kept in. Quantised ones are taken for the numbers they stand for.
        tokenizer: a directory or an id on the hub, for files that do not say enough of theirs.
        tell: is told what is being done, a line at a time.

    Raises:
        InputError: the file, the tokenizer or the directory cannot be used; nothing is left there.
    """
    if out.exists():
        raise InputError(f"{out} is there already; give a directory that is not")
    fields = read_fields(path)
    tell(f"{fields.get('general.name', path.name)}: {fields.get('general.architecture')}")
    scratch = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        try:
            scratch.mkdir(parents=True)
            _write_tokens(fields, tokenizer, scratch)
            tell("reading the weights")
            model = _weights(path, DTYPES[dtype])
            model.generation_config = GenerationConfig(**_ids(fields))
            save_model(model, scratch)
        except Exception as error:
            # Libraries tell of a full disk in ways of their own, that of tokenizers by no more than an exception.
            if not isinstance(error, OSError | SafetensorError) and type(error) is not Exception:
                raise
            why = getattr(error, "strerror", None) or first_line(error)
            raise InputError(f"cannot write to {out.parent} ({why}); make room there, or give another --out") from error
        del model
        tell(_try(scratch))
        scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _weights(path: Path, dtype: torch.dtype) -> PreTrainedModel:
    # Newer transformers leave the weights as they lie in the file, and write no checkpoint of them, unless told.
    packing = getattr(transformers, "GgufConfig", None)
    unpacked = {"quantization_config": packing(dequantize=True)} if packing else {}
    with one_sentence(f"{path} cannot be read"):
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=dtype, **unpacked
        )
    return model


def _write_tokens(fields: Mapping[str, Any], source: str | None, place: Path) -> None:
    """Tokenizer and chat template: the file's, or those of `source`, whose tokens must be the same."""
    template = fields.get("tokenizer.chat_template")
    if source is not None:
        theirs = read_tokens(source)
        check_same_words(theirs.tokenizer, fields)
        theirs.original.chat_template = theirs.original.chat_template or template
        theirs.original.save_pretrained(place)
        return
    made = tokenizer_of(fields)
    made.save(str(place / "tokenizer.json"))
    named = {
        f"{name}_token": made.id_to_token(id) for name, id in _named(fields).items() if name in ("bos", "eos", "pad")
    }
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False} | named
    told |= {"chat_template": template} if template else {}
    (place / "tokenizer_config.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _named(fields: Mapping[str, Any]) -> dict[str, int]:
    """The tokens that the file has a name for: "bos", "eos", "pad", and others that end a turn."""
    names = {"pad": "padding"}
    found = {name: fields.get(f"tokenizer.ggml.{names.get(name, name)}_token_id") for name in ("bos", "pad", *_ENDS)}
    return {name: int(id) for name, id in found.items() if id is not None}


def _ids(fields: Mapping[str, Any]) -> dict[str, Any]:
    named = _named(fields)
    ends = list(dict.fromkeys(named[name] for name in _ENDS if name in named))
    ids: dict[str, Any] = {f"{name}_token_id": named[name] for name in ("bos", "pad") if name in named}
    return ids | ({"eos_token_id": ends[0] if len(ends) == 1 else ends} if ends else {})


def _try(place: Path) -> str:
    """Read the checkpoint as other commands do; returns what it knows, in a sentence."""
    read = load_checkpoint(str(place))
    ids = torch.tensor([read.tokenizer.encode(_ENGLISH).ids])
    with torch.inference_mode():
        scores = read.model(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
    needs = -scores.gather(1, ids[0, 1:, None]).mean().item()
    nothing = math.log(scores.shape[1])
    told = f"it reads a paragraph of English at {needs:.2f} nats a token; one that knows nothing needs {nothing:.2f}"
    if needs > _DOUBTFUL * nothing:
        told += ". If it should know English, it was not read as it was meant; compare it with the original"
    return told
