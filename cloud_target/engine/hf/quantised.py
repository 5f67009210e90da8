"""Checkpoints whose weights are quantised: only by a method that transformers has, and with the libraries it takes."""

from __future__ import annotations

from typing import Any

import transformers
from transformers.quantizers.auto import AutoHfQuantizer

from shared.errors import InputError

# What transformers obeys; elsewhere it is written by other programs.
KEY = "quantization_config"
_FOREIGN = ("compression_config", "quantization")
_UNQUANTISED = "take the model as it was before it was quantised"
# What people install, by method; bitsandbytes has two kinds.
_PACKAGES = {
    "aqlm": "aqlm",
    "auto-round": "auto-round",
    "awq": "autoawq",
    "bitnet": "accelerate",
    "bitsandbytes": "bitsandbytes and accelerate",
    "compressed-tensors": "compressed-tensors",
    "eetq": "eetq and accelerate",
    "fbgemm_fp8": "fbgemm-gpu and accelerate",
    "fp8": "accelerate",
    "gptq": "gptqmodel and optimum",
    "higgs": "flute-kernel",
    "hqq": "hqq",
    "mxfp4": "kernels and accelerate",
    "quanto": "optimum-quanto",
    "quark": "amd-quark",
    "torchao": "torchao",
    "vptq": "vptq",
}


def check_quantised(raw: dict[str, Any], source: str) -> None:
    """See that transformers does what a configuration says of quantised weights, which it may skip with a warning.

    Raises:
        InputError: it would not.
    """
    for key in (KEY, *_FOREIGN):
        said = raw.get(key)
        if said and not (key == KEY and _supported(said)):
            method = said.get("quant_method") if isinstance(said, dict) else None
            raise InputError(
                f"the weights of {source} are quantised in a way that transformers {transformers.__version__} does not "
                f"know ({key} in config.json" + (f": {method}" if method else "") + f"); {_UNQUANTISED}"
            )


def check_not_quantised(config: object, source: str, reason: str) -> None:
    """What to say when a model could not be loaded, if its weights are quantised.

    Args:
        config: of the model.
        source: of the model, for people.
        reason: transformers' own words.

    Raises:
        InputError: they are.
    """
    said = getattr(config, KEY, None)
    if not said:
        return
    method = said.get("quant_method", "") if isinstance(said, dict) else getattr(said, "quant_method", "")
    method = str(getattr(method, "value", method)) or "bitsandbytes"  # whose first files give no method
    packages = _PACKAGES.get(method)
    needed = f", which takes {packages}" if packages else ""
    raise InputError(
        f"the weights of {source} are quantised ({method}){needed}, and transformers {transformers.__version__} cannot "
        f"load them here ({reason}); install what is missing, or {_UNQUANTISED}"
    )


def _supported(said: object) -> bool:
    try:
        return isinstance(said, dict) and bool(AutoHfQuantizer.supports_quant_method(said))
    except ValueError:  # it gives no method
        return False
