"""Rotary parameters as transformers 5 writes them, in the words of transformers 4, which would leave them out.

transformers 5 keeps them together under `rope_parameters`, some by kind of layer; transformers 4 has a key for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import transformers
from transformers import PretrainedConfig, modeling_rope_utils

from shared.errors import InputError

# What architectures of transformers 4 call the base of the angles, and the share of a head that is rotated; those with
# a name of their own know the usual one too, and fill it from theirs.
_THETA = ("rotary_emb_base", "rope_theta")
_SHARE = ("rotary_pct", "partial_rotary_factor")
_LOCAL, _WHOLE = "sliding_attention", "full_attention"
_BASES = ("rope_theta", "rotary_emb_base", "rope_local_base_freq")
_LONG, _USUAL = "longrope", "original_max_position_embeddings"
# What transformers 5 keeps among the parameters, and transformers 4 beside them.
_INSIDE = {"rope_theta", "partial_rotary_factor"}
# Parameters that transformers 4 obeys in some architecture, or that change nothing of how a text alone is read.
_KNOWN = {
    *("rope_type", "type", "factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow"),
    *("short_factor", "long_factor", "short_mscale", "long_mscale", "low_freq_factor", "high_freq_factor", "truncate"),
    *("mscale", "mscale_all_dim", "alpha", "mrope_section", "mrope_interleaved", "finetuned"),
}
# Of sliding layers that have an angle of their own.
_LOCAL_THETA = "rope_local_base_freq"


def flatten_rope(raw: dict[str, Any], known: Callable[[str], bool], source: str) -> dict[str, Any]:
    """A configuration without `rope_parameters`, where this version of transformers does not read them.

    Args:
        raw: as in the file.
        known: whether the architecture, as this version has it, knows a key.
        source: of the file, for people.

    Raises:
        InputError: they say what cannot be said in the words of this version.
    """
    _check_said_once(raw, source)
    if hasattr(modeling_rope_utils, "RotaryEmbeddingConfigMixin"):
        return raw
    if not isinstance(raw.get("rope_parameters"), dict) and _INSIDE & _dictionary(raw.get("rope_scaling")).keys():
        # The old name for the new thing, which transformers 5 takes too.
        raw = {"rope_parameters" if key == "rope_scaling" else key: value for key, value in raw.items()}
        _check_said_once(raw, source)
    if not isinstance(raw.get("rope_parameters"), dict):
        _check_known(_dictionary(raw.get("rope_scaling")), source)
        _check_longrope(raw.get("rope_scaling"), raw, source)
        return raw
    rest = {key: value for key, value in raw.items() if key != "rope_parameters"}
    parameters = {key: value for key, value in raw["rope_parameters"].items() if value is not None}
    if parameters and all(isinstance(value, dict) for value in parameters.values()):
        kinds = dict(parameters)
        parameters = kinds.pop(_WHOLE, None) or next(iter(kinds.values()))
        if known(_LOCAL_THETA) and set(kinds) == {_LOCAL} and set(kinds[_LOCAL]) <= {"rope_type", "rope_theta"}:
            if kinds[_LOCAL].get("rope_type", "default") != "default":
                _refuse(source, f"rope_parameters.{_LOCAL}")
            rest[_LOCAL_THETA] = kinds[_LOCAL].get("rope_theta", 10000.0)
        elif any(other != parameters for other in kinds.values()):
            _refuse(source, "rope_parameters by kind of layer")
    parameters = dict(parameters)
    for names, key, default in ((_THETA, "rope_theta", None), (_SHARE, "partial_rotary_factor", 1.0)):
        value = parameters.pop(key, default)
        name = next((name for name in names if known(name)), None)
        if name is not None and value is not None:
            rest[name] = value
        elif value != default:
            _refuse(source, f"rope_parameters.{key}")
    _check_known(parameters, source)
    if parameters.get("rope_type", parameters.get("type", "default")) != "default":
        if not known("rope_scaling"):
            _refuse(source, "rope_parameters")
        _check_longrope(parameters, rest, source)
        rest["rope_scaling"] = _scaling(parameters)
    return rest


def _check_said_once(raw: dict[str, Any], source: str) -> None:
    """See that keys of both versions of transformers say the same, where a file has both: each reads its own.

    Raises:
        InputError: they contradict each other.
    """
    parameters = raw.get("rope_parameters")
    if not isinstance(parameters, dict):
        return
    local, whole = _dictionary(parameters.get(_LOCAL)), _dictionary(parameters.get(_WHOLE)) or parameters
    scaling = _dictionary(raw.get("rope_scaling"))
    pairs = [(name, whole.get("rope_theta")) for name in _THETA]
    pairs += [(name, whole.get("partial_rotary_factor")) for name in _SHARE]
    pairs += [(_LOCAL_THETA, local.get("rope_theta"))]
    said = [name for name, value in pairs if None not in (value, raw.get(name)) and raw[name] != value]
    kinds = [of.get("rope_type", of.get("type", "default")) for of in (scaling, whole)]
    if scaling and (kinds[0] != kinds[1] or any(whole.get(key, value) != value for key, value in scaling.items())):
        said.append("rope_scaling")
    if said:
        raise InputError(
            f"config.json of {source} says {said[0]} twice, and differently: beside rope_parameters and in them; take "
            "out the one that is wrong"
        )


def _dictionary(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def misread_rope(config: PretrainedConfig, raw: dict[str, Any]) -> list[str]:
    """Bases of angles in a file of transformers 4 that transformers 5 does not obey: each must be in use for some kind
    of layer, and no other."""
    parameters = getattr(config, "rope_parameters", None)
    said = dict(_bases(raw)) if "rope_parameters" not in raw else {}
    if not isinstance(parameters, dict) or not said:
        return []
    kinds = [value for value in parameters.values() if isinstance(value, dict)] or [parameters]
    used = {kind["rope_theta"] for kind in kinds if kind.get("rope_theta") is not None}
    return [] if used == set(said.values()) else sorted(said)


def _bases(raw: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in raw.items():
        if isinstance(value, dict):
            yield from _bases(value)
        elif key.endswith(_BASES) and type(value) in (int, float):
            yield key, value


def _scaling(parameters: dict[str, Any]) -> dict[str, Any]:
    """Phi-3 takes three keys of a longrope and no other; the fourth is beside them."""
    if parameters.get("rope_type") != _LONG:
        return parameters
    rest = {key: value for key, value in parameters.items() if key not in ("rope_type", _USUAL)}
    return {"type": _LONG, **rest}


def _check_known(parameters: dict[str, Any], source: str) -> None:
    """transformers 4 only warns of rotary parameters that it does not know, and leaves them out.

    Raises:
        InputError: there is one.
    """
    unknown = sorted(key for key, value in parameters.items() if key not in _KNOWN and value is not None)
    if unknown:
        raise InputError(
            f"config.json of {source} says {', '.join(unknown[:5])} of rotary positions, which transformers "
            f"{transformers.__version__} does not know and would leave out; take another version of transformers, or "
            "take out what does not change what the model computes"
        )


def _check_longrope(scaling: Any, beside: dict[str, Any], source: str) -> None:
    """Of a longrope, transformers 4 looks for the length of training beside the parameters, and never among them.

    Raises:
        InputError: it is only among them.
    """
    if isinstance(scaling, dict) and scaling.get("rope_type", scaling.get("type")) == _LONG:
        within = scaling.get(_USUAL)
        if within is not None and within != beside.get(_USUAL, beside.get("max_position_embeddings")):
            _refuse(source, f"{_USUAL} {within} of a longrope")


def _refuse(source: str, what: str) -> NoReturn:
    raise InputError(
        f"config.json of {source} says {what}, which transformers {transformers.__version__} cannot read; take "
        "transformers 5, which wrote it"
    )
