"""A checkpoint's config.json, read so that nothing in it is lost: what this transformers does not know is refused.

transformers takes keys that it does not know for notes, and computes on without them: another model than the
checkpoint, and no word about it.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import transformers
from transformers import CONFIG_MAPPING, PretrainedConfig

from cloud_target.engine.hf.keys import changes_nothing, is_known, is_note
from cloud_target.engine.hf.quantised import KEY as QUANTISED
from cloud_target.engine.hf.quantised import check_quantised
from cloud_target.engine.hf.rope import flatten_rope, misread_rope
from shared.errors import InputError

# Where a file says of each layer which window it has, transformers 4 writes the rule behind it as well.
_LAYERS, _RULE = "layer_types", "_sliding_window_pattern"
# Keys that transformers 5 calls otherwise than transformers 4.
_RENAMED = {"num_local_experts": "num_experts"}


def read_configuration(source: str | Path) -> PretrainedConfig:
    """The configuration of a directory or a Hugging Face id.

    Raises:
        InputError: it is no configuration of a causal language model that transformers has, or says what this version
            does not know.
        Exception: whatever transformers comes up with, which `reading.read_model` puts into a sentence.
    """
    raw, _ = PretrainedConfig.get_config_dict(str(source))
    kind = raw.get("model_type")
    have = f"transformers {transformers.__version__} has"
    if raw.get("auto_map") and kind not in CONFIG_MAPPING:
        raise InputError(
            f"{source} needs code of its own (auto_map in config.json), which is never run here; take a model of an "
            f"architecture that {have}"
        )
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise InputError(
            f"{source} is of a kind that this version does not know (model_type {kind!r} in config.json); take a "
            f"newer transformers, or a model of an architecture that {have}"
        )
    if raw.get("is_encoder_decoder", getattr(CONFIG_MAPPING[kind], "is_encoder_decoder", False)) is True:
        raise InputError(
            f"{source} is an encoder-decoder model ({kind}), which does not go on from a text; take a decoder"
        )
    check_quantised(raw, str(source))
    understood = _understood(raw, CONFIG_MAPPING[kind], str(source))
    config = CONFIG_MAPPING[kind].from_dict(understood)
    _check_read_back(config, understood, str(source))
    _check_window(config, str(source))
    return config


def _understood(raw: dict[str, Any], kind: type[PretrainedConfig], source: str) -> dict[str, Any]:
    """The keys of a file as this transformers takes them.

    Raises:
        InputError: it does not know one.
    """
    raw = flatten_rope(dict(raw), lambda key: is_known(key, kind), source)
    for new, old in _RENAMED.items():
        if new in raw and old not in raw and is_known(old, kind) and not is_known(new, kind):
            raw[old] = raw.pop(new)
    if raw.get(_LAYERS) and is_known(_LAYERS, kind):
        raw.pop(_RULE, None)
    nested: dict[str, Any] = getattr(kind, "sub_configs", {}) or {}
    for key, value in raw.items():
        if isinstance(value, dict) and inspect.isclass(nested.get(key)) and hasattr(nested[key], "attribute_map"):
            raw[key] = _understood(value, nested[key], source)
    dropped = sorted(
        key
        for key, value in raw.items()
        if not (is_known(key, kind) or is_note(key) or key == QUANTISED or changes_nothing(key, value, kind.model_type))
    )
    if dropped:
        raise InputError(
            f"config.json of {source} says {', '.join(dropped[:5])}, which transformers {transformers.__version__} "
            f"does not know of a {kind.model_type} and would leave out; take another version of transformers, or take "
            "out what does not change what the model computes"
        )
    return raw


def _check_window(config: PretrainedConfig, source: str) -> None:
    """See that each token looks back at one at least.

    Raises:
        InputError: it does not.
    """
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    if isinstance(window, int) and window < 1 and getattr(text, "use_sliding_window", True):
        raise InputError(
            f"config.json of {source} says sliding_window {window}, and a window holds at least one token; write null "
            "for none, or get it again"
        )


def _check_read_back(config: PretrainedConfig, raw: dict[str, Any], source: str) -> None:
    """See that a configuration says what its file says, where it says anything of it.

    Raises:
        InputError: this version of transformers put something else in a value's place.
    """
    changed = [
        key
        for key, value in raw.items()
        if type(value) in (int, float) and not is_note(key) and getattr(config, key, None) not in (None, value)
    ]
    changed += misread_rope(config, raw)
    if changed:
        raise InputError(
            f"transformers {transformers.__version__} reads {', '.join(changed[:5])} in config.json of {source} as "
            "something else than it is; take another version of transformers"
        )
