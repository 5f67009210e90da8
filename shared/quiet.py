"""Libraries keep quiet: they report to nobody, and leave nothing in the user's home or among temporary files."""

from __future__ import annotations

import os
import sys
import warnings

from shared.interrupts import before_the_end

# Each is read once, when its library is loaded. What a user has set stays: that was asked for.
_SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime from 1.29 on: usage, and a device id below the user's cache
    "HF_HUB_DISABLE_TELEMETRY": "1",  # the Hugging Face libraries
    "DISABLE_SAFETENSORS_CONVERSION": "true",  # transformers: asks a service to convert old weights of the hub
    "DO_NOT_TRACK": "1",  # whoever else keeps to it
}


def silence_libraries() -> None:
    """Switch off every report home of this process and of those that it starts.

    To be called before onnxruntime is imported. Where it was imported already, nothing in its interface stops what has
    begun, so that is worth a `RuntimeWarning`.
    """
    if "onnxruntime" in sys.modules and not os.environ.get("ORT_DISABLE_TELEMETRY"):
        warnings.warn(
            "onnxruntime was imported first, and newer versions report to their maker unless told not to before that: "
            "import Tandem before it, or set ORT_DISABLE_TELEMETRY=1 in the environment",
            RuntimeWarning,
            stacklevel=3,
        )
    for name, value in _SWITCHES.items():
        if not os.environ.get(name):
            os.environ[name] = value


def leave_nothing_behind() -> None:
    """Keep all temporary files of this process in one directory that goes when it ends.

    Libraries cache there what they can make again (torch what it compiles, matplotlib its list of fonts), unless the
    user has named a place for it. To be called once, by a program, before any of them is imported.
    """
    import atexit
    import shutil
    import tempfile
    from functools import partial

    try:
        place = tempfile.mkdtemp(prefix="tandem-")
    except OSError:  # nowhere to write; then they cannot either
        return
    tempfile.tempdir = os.environ["TMPDIR"] = place
    os.environ.setdefault("MPLCONFIGDIR", os.path.join(place, "matplotlib"))
    tidy = partial(shutil.rmtree, place, ignore_errors=True)
    atexit.register(tidy)
    before_the_end(tidy)
