"""The verifier's head as an ONNX graph: features float32 ``[1, SCALARS + hidden]`` -> doubt float32 ``[1, 2]``.

Doubt is the probability that the drawn token is off-target; its columns are `shared.manifest.DOUBT_COLUMNS`
(SPRINTER, section 3, has the linear head).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from cloud_target.export.builder import GraphBuilder, tensor
from cloud_target.export.writing import write_model
from shared.calibration import DOUBT_COLUMNS
from shared.errors import InputError
from shared.features import NAMES, SCALARS

_COLUMNS = len(DOUBT_COLUMNS)
# A feature that varied less than this in training says nothing: it is left out instead of divided by almost nothing.
_SMALLEST_DEVIATION = 1e-6
ACTIVATIONS = ("relu", "silu")


def export_head(
    path: str | Path,
    mean: np.ndarray,
    std: np.ndarray,
    w1: np.ndarray | None,
    b1: np.ndarray | None,
    w2: np.ndarray,
    b2: np.ndarray,
    activation: str = "relu",
) -> None:
    """Write a trained head: ``sigmoid(w2 · act(w1 · (x - mean) / std + b1) + b2)``, linear if `w1` is None.

    Weights have torch's layout, ``[outputs, inputs]``. The standardisation is folded into the first layer, so
    the graph is one or two products.

    Args:
        path: of the ONNX file.
        mean, std: of the features over the training rows, ``[features]``.
        w1, b1: hidden layer, ``[units, features]`` and ``[units]``, or None.
        w2, b2: output layer, ``[2, units or features]`` and ``[2]``; rows in the order of `DOUBT_COLUMNS`.
        activation: of the hidden layer, "relu" or "silu".

    Raises:
        InputError: shapes that do not fit together, numbers that are not finite, or an unknown activation.
    """
    write_model(head_model(mean, std, w1, b1, w2, b2, activation), path)


def head_model(
    mean: np.ndarray,
    std: np.ndarray,
    w1: np.ndarray | None,
    b1: np.ndarray | None,
    w2: np.ndarray,
    b2: np.ndarray,
    activation: str = "relu",
) -> onnx.ModelProto:
    """The graph that `export_head` writes."""
    if activation not in ACTIVATIONS:
        raise InputError(f"unknown activation {activation!r} of a verifier's head; use one of {', '.join(ACTIVATIONS)}")
    mean, std, w2, b2 = (np.asarray(array, np.float64) for array in (mean, std, w2, b2))
    layers = [(w2, b2)]
    if w1 is not None:
        layers.insert(0, (np.asarray(w1, np.float64), np.asarray(b1, np.float64)))
    _check(mean, std, layers)
    layers[0] = _fold(mean, std, *layers[0])

    graph = GraphBuilder()
    x = "features"
    for number, (weight, bias) in enumerate(layers):
        if number:
            x = graph.add("Relu", x) if activation == "relu" else graph.add("Mul", x, graph.add("Sigmoid", x))
        w = graph.weight(f"w{number}", weight.T.astype(np.float32))
        x = graph.add("Gemm", x, w, graph.weight(f"b{number}", bias.astype(np.float32)))
    graph.add("Sigmoid", x, out="doubt")
    return graph.model([tensor("features", np.float32, [1, len(mean)])], [tensor("doubt", np.float32, [1, _COLUMNS])])


def baseline_head(hidden: int) -> onnx.ModelProto:
    """A head that needs no training: doubt is one minus the draft's probability of the drawn token, in both columns.

    Args:
        hidden: size of the draft's hidden state, which this head ignores.
    """
    graph = GraphBuilder()
    columns = graph.weight("columns", np.full(_COLUMNS, NAMES.index("log_probability"), np.int64))
    probability = graph.add("Exp", graph.add("Gather", "features", columns, axis=1))
    graph.add("Sub", graph.weight("one", np.array(1, np.float32)), probability, out="doubt")
    return graph.model(
        [tensor("features", np.float32, [1, SCALARS + hidden])], [tensor("doubt", np.float32, [1, _COLUMNS])]
    )


def take_several(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same head for any number of rows: what is audited is doubted in one run by verifiers that look on."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    for value in (*found.graph.input, *found.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "rows"
    return found


def read_head(path: str | Path, hidden: int) -> onnx.ModelProto:
    """A head from a file, seen to fit a draft with a hidden state of `hidden`.

    Raises:
        InputError: it cannot be read, was made for another draft, or gives no probabilities.
    """
    features = SCALARS + hidden
    try:
        model = onnx.load(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what it refuses, it says in its error too
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # protobuf's, onnxruntime's and the file system's errors have no common base
        raise InputError(f"cannot read a verifier's head from {path} ({error}); train it again") from error
    inputs, outputs = ([(x.name, x.shape) for x in found] for found in (session.get_inputs(), session.get_outputs()))
    if inputs != [("features", [1, features])] or outputs != [("doubt", [1, _COLUMNS])]:
        raise InputError(
            f"the verifier's head {path} takes {inputs} and gives {outputs}, but this draft needs [1, {features}] to "
            f"[1, {_COLUMNS}]; train it for this draft"
        )
    doubt = session.run(None, {"features": np.zeros((1, features), np.float32)})[0]
    if not ((doubt >= 0) & (doubt <= 1)).all():
        raise InputError(
            f"the verifier's head {path} gives {doubt.tolist()}, which are not probabilities; train it again"
        )
    return model


def _fold(mean: np.ndarray, std: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The layer that does to raw features what `weight` and `bias` do to standardised ones (all float64)."""
    varies = std > _SMALLEST_DEVIATION
    folded = np.where(varies, weight / np.where(varies, std, 1.0), 0.0)
    return folded, bias - folded @ mean


def _check(mean: np.ndarray, std: np.ndarray, layers: list[tuple[np.ndarray, np.ndarray]]) -> None:
    inputs = len(mean) if mean.ndim == 1 else 0
    if inputs <= SCALARS or std.shape != mean.shape:
        raise InputError(
            f"mean and std of a verifier's head must both have one entry for each of the {SCALARS} scalars and of the "
            f"hidden state, not the shapes {list(mean.shape)} and {list(std.shape)}"
        )
    for number, (weight, bias) in enumerate(layers):
        outputs = _COLUMNS if number == len(layers) - 1 else len(weight)
        if weight.shape != (outputs, inputs) or bias.shape != (outputs,):
            raise InputError(
                f"layer {number + 1} of a verifier's head must be [{outputs}, {inputs}] with a bias [{outputs}], "
                f"not {list(weight.shape)} with {list(bias.shape)}"
            )
        inputs = outputs
    if not all(np.isfinite(array).all() for array in (mean, std, *(a for layer in layers for a in layer))):
        raise InputError("a verifier's head holds numbers that are not finite; its training has diverged")
