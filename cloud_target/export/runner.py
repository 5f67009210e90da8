"""Running a draft graph here, to check it; the edge has its own, faster way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from cloud_target.export.builder import Graph
from cloud_target.export.candidates import EVERY, OUTPUTS
from shared.resident import untouched


class Runner:
    """A draft graph with its key-value cache.

    Args:
        graph: of either kind; in a file, which takes least memory, or in memory.
        context: longest sequence in tokens.
    """

    def __init__(self, graph: Path | Graph | onnx.ModelProto, context: int) -> None:
        if isinstance(graph, Graph):
            graph = graph.whole()
        source = str(graph) if isinstance(graph, Path) else graph.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it refuses, it says in its error too
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(source, options, providers=providers)
        names = {node.name: node.shape for node in self._session.get_inputs()}
        self._shared = "last" in names
        self._gives_every = any(node.name == EVERY for node in self._session.get_outputs())
        self._context = context
        self._past = {
            name: untouched((1, shape[1], context if self._shared else 0, shape[3]))
            for name, shape in names.items()
            if name.startswith("past.")
        }
        self.length = 0

    def feed(
        self, ids: Sequence[int] | np.ndarray, rows: Sequence[int] | None = None, every: bool = False
    ) -> dict[str, np.ndarray]:
        """Append tokens; returns the outputs of the wanted rows (default: all), see `candidates.py`; with `every`, all
        logits too, if the graph gives them."""
        outputs = (*OUTPUTS, EVERY) if every and self._gives_every else OUTPUTS
        count = len(ids)
        inputs = {
            "ids": np.asarray(ids, np.int64)[None],
            "rows": np.arange(count) if rows is None else np.asarray(rows, np.int64),
        }
        if self._shared:
            inputs |= {
                "positions": np.arange(self.length, self.length + count)[None],
                "last": np.array([self.length + count - 1], np.int32),
                "mask": np.zeros((1, 1, count, self._context), np.float32),
            }
        binding = self._session.io_binding()
        for name, array in (inputs | self._past).items():
            binding.bind_cpu_input(name, array)
        for name in outputs:
            binding.bind_output(name)
        for name, array in self._past.items():
            present = name.replace("past", "present")
            if self._shared:
                binding.bind_output(present, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            else:
                binding.bind_output(present)
        self._session.run_with_iobinding(binding)
        # Not the binding's own copy of all: of shared buffers that is a whole cache, which takes longer than a step.
        values = binding.get_outputs()
        results = [value.numpy() for value in (values[: len(outputs)] if self._shared else values)]
        if not self._shared:
            self._past = dict(zip(self._past, results[len(outputs) :], strict=True))
        self.length += count
        return dict(zip(outputs, results, strict=False))

    def rewind(self, length: int) -> None:
        """Forget everything from position `length` on."""
        self.length = length
        if not self._shared:
            self._past = {name: np.ascontiguousarray(past[:, :, :length]) for name, past in self._past.items()}
