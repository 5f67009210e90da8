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
from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion
from shared.domains import GENERAL, verifier_file
from shared.draw import Draw
from shared.errors import BundleError
from shared.features import NAMES, SCALARS, write_features

_STRICT = DOUBT_COLUMNS.index(Criterion.STRICT)
_TEMPERATURE = NAMES.index("temperature")


class Head(Protocol):
    """What the loop needs of a verifier, whatever is behind it."""

    @property
    def scalars(self) -> np.ndarray:
        """The last token's features but for the hidden state, ``float32 [SCALARS]``."""

    def doubt(self, step: Step, draw: Draw, temperature: float, column: int) -> tuple[float, float]:
        """The probabilities that the drawn token is off-target, and that it is not the target's own, 0 to 1.

        Args:
            step: what the draft gave.
            draw: the token drawn from it.
            temperature: in use.
            column: of `shared.manifest.DOUBT_COLUMNS` that the first is of, see `shared.criteria.doubt_columns`.
        """


class SeveralAtOnce(Head, Protocol):
    """What a text needs of a verifier that looks on while another one of its bundle doubts."""

    @property
    def features(self) -> np.ndarray:
        """The last token's, ``float32 [SCALARS + hidden]``; overwritten by the next."""

    def doubts(self, rows: np.ndarray, temperature: float) -> np.ndarray:
        """The doubts about several tokens.

        Args:
            rows: a token's features each, by any verifier of the bundle, ``float32 [n, SCALARS + hidden]``, n at least
                1; the temperature in them is changed.
            temperature: in use.

        Returns:
            A column for each of `shared.calibration.DOUBT_COLUMNS`, ``float32 [n, 2]``.
        """


class Verifier:
    """A small head over what the draft knows anyway; its memory is bound once, so that a token costs microseconds.

    What the head makes of a temperature that it was never shown is anyone's guess, down to no doubt at all where hardly
    a token is right. So it is told of none above the `hottest`; all else that it sees says how wild the text is.

    Attributes:
        features: the last token's, ``float32 [SCALARS + hidden]``; overwritten by the next.
        scalars: of them those before the hidden state, ``float32 [SCALARS]``.
    """

    def __init__(self, session: onnxruntime.InferenceSession, hidden: int, hottest: float = math.inf) -> None:
        features = np.zeros((1, SCALARS + hidden), np.float32)
        doubt = np.zeros((1, len(DOUBT_COLUMNS)), np.float32)
        self.features, self._doubt = features[0], doubt[0]
        self.scalars = self.features[:SCALARS]
        self._hottest = hottest
        self._session = session
        self._run = session.run_with_iobinding
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input("features", OrtValue.ortvalue_from_numpy(features))
        self._binding.bind_ortvalue_output("doubt", OrtValue.ortvalue_from_numpy(doubt))

    @classmethod
    def maker(
        cls, bundle: str | Path, hidden: int, threads: int = 1, hottest: float = math.inf, name: str = GENERAL
    ) -> Callable[[], Verifier]:
        """Load a verifier of a bundle.

        Args:
            hidden: size of the draft's hidden state.
            hottest: the highest temperature that the head was calibrated at.
            name: the general one, or a domain's.

        Returns:
            What makes verifiers over the loaded graph, each with memory of its own.

        Raises:
            BundleError: the graph is missing, damaged, or made for another draft.
        """
        path = Path(bundle) / verifier_file(name)
        session = open_session(path, threads)
        inputs, outputs = (
            ", ".join(f"{node.name} {[_rows(node.shape[0]), *node.shape[1:]]}" for node in nodes)
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
        write_features(self.features, step.hidden, step.logits, step.log_normaliser, step.entropy, draw, known)
        self._run(self._binding)
        return self._doubt.item(column), self._doubt.item(_STRICT)

    def doubts(self, rows: np.ndarray, temperature: float) -> np.ndarray:
        """See `SeveralAtOnce.doubts`."""
        rows[:, _TEMPERATURE] = min(temperature, self._hottest)
        # The graph of a general verifier takes one row, as every bundle's ever did.
        parts = [rows] if isinstance(self._session.get_inputs()[0].shape[0], str) else rows[:, None]
        return np.concatenate([self._session.run(None, {"features": part})[0] for part in parts])


def _rows(size: int | str) -> int | str:
    """How many rows a graph takes; of those that take any number, 1 is what the loop gives."""
    return 1 if isinstance(size, str) else size
