"""The verifier on the device: how much a drafted token is to be doubted (SPRINTER, section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from onnxruntime import OrtValue

from edge_client.inference.draft import Step
from edge_client.inference.runtime import open_session
from shared.config import Criterion
from shared.errors import BundleError
from shared.features import SCALARS, write_features
from shared.manifest import DOUBT_COLUMNS
from shared.sampling import Draw

_STRICT = DOUBT_COLUMNS.index(Criterion.STRICT)


class Head(Protocol):
    """What the loop needs of a verifier, whatever is behind it.

    Attributes:
        scalars: the last token's features but for the hidden state, ``float32 [SCALARS]``.
    """

    scalars: np.ndarray

    def doubt(self, step: Step, draw: Draw, temperature: float, column: int) -> tuple[float, float]:
        """The probabilities that the drawn token is off-target, and that it is not the target's own, 0 to 1.

        Args:
            step: what the draft gave.
            draw: the token drawn from it.
            temperature: in use.
            column: of `shared.manifest.DOUBT_COLUMNS` that the first is of, see `shared.criteria.doubt_columns`.
        """


class Verifier:
    """A small head over what the draft knows anyway; its memory is bound once, so that a token costs microseconds.

    What the head makes of a temperature that it was never shown is anyone's guess, down to no doubt at all where hardly
    a token is right. So it is told of none above the `hottest`; all else that it sees says how wild the text is.

    Attributes:
        scalars: the last token's features but for the hidden state, ``float32 [SCALARS]``; overwritten by the next.
    """

    def __init__(self, session: onnxruntime.InferenceSession, hidden: int, hottest: float = math.inf) -> None:
        features = np.zeros((1, SCALARS + hidden), np.float32)
        doubt = np.zeros((1, len(DOUBT_COLUMNS)), np.float32)
        self._features, self._doubt = features[0], doubt[0]
        self.scalars = self._features[:SCALARS]
        self._hottest = hottest
        self._run = session.run_with_iobinding
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input("features", OrtValue.ortvalue_from_numpy(features))
        self._binding.bind_ortvalue_output("doubt", OrtValue.ortvalue_from_numpy(doubt))

    @classmethod
    def maker(
        cls, bundle: str | Path, hidden: int, threads: int = 1, hottest: float = math.inf
    ) -> Callable[[], Verifier]:
        """Load `verifier.onnx` of a bundle.

        Args:
            hidden: size of the draft's hidden state.
            hottest: the highest temperature that the head was calibrated at.

        Returns:
            What makes verifiers over the loaded graph, each with memory of its own.

        Raises:
            BundleError: the graph is missing, damaged, or made for another draft.
        """
        path = Path(bundle) / "verifier.onnx"
        session = open_session(path, threads)
        inputs, outputs = (
            ", ".join(f"{node.name} {node.shape}" for node in nodes)
            for nodes in (session.get_inputs(), session.get_outputs())
        )
        if inputs != f"features [1, {SCALARS + hidden}]" or outputs != f"doubt [1, {len(DOUBT_COLUMNS)}]":
            raise BundleError(
                f"{path} takes {inputs} and gives {outputs}, but a draft with a hidden state of {hidden} needs "
                f"features [1, {SCALARS + hidden}] and doubt [1, {len(DOUBT_COLUMNS)}]; make the bundle again with a "
                "verifier trained for its draft"
            )
        return partial(cls, session, hidden, hottest)

    def doubt(self, step: Step, draw: Draw, temperature: float, column: int) -> tuple[float, float]:
        """See `Head.doubt`."""
        known = min(temperature, self._hottest)
        write_features(self._features, step.hidden, step.logits, step.log_normaliser, step.entropy, draw, known)
        self._run(self._binding)
        return self._doubt.item(column), self._doubt.item(_STRICT)
