"""Opening an onnxruntime session on a device: few threads, no spinning, errors as one sentence."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from shared.errors import BundleError, first_line


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session for one graph, run by `threads` threads on the CPU.

    Raises:
        BundleError: the file is missing, damaged, or needs a newer onnxruntime.
    """
    options = onnxruntime.SessionOptions()
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A device has better things to do than to wait in a busy loop for the next token.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what it refuses, it says in its error too
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common base below this
        raise BundleError(
            f"onnxruntime {onnxruntime.__version__} cannot load {path} ({first_line(error)}); "
            "copy the bundle again, whole, or install a newer onnxruntime"
        ) from error
