"""Reading a draft's steps over a whole text: what the edge's graph returns, from a graph or from a checkpoint.

The verifier should be fitted to the very numbers that it will see, so the exported graph is the better source.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from transformers import PreTrainedModel

from cloud_target.export.candidates import CANDIDATES, EVERY
from cloud_target.export.runner import Runner
from cloud_target.training.models import load_model, run
from shared.errors import InputError


class Steps(Protocol):
    """A draft whose steps can be read.

    Attributes:
        context: the longest text in tokens.
    """

    context: int

    def pieces(self, ids: np.ndarray, at_once: int) -> Iterator[dict[str, np.ndarray]]:
        """The outputs that `cloud_target/export/candidates.py` defines, a row for each token of a text of n, piece by
        piece of the text; without all logits where a graph does not give them.

        Args:
            ids: of the whole text, ``int64 [n]``.
            at_once: tokens of a piece, so that all logits of it can be borne.
        """


class CheckpointSteps:
    """Steps of a model in PyTorch, float32."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.context = model.config.max_position_embeddings
        self._model = model

    @torch.inference_mode()
    def pieces(self, ids: np.ndarray, at_once: int) -> Iterator[dict[str, np.ndarray]]:
        hidden, logits = (part[0] for part in run(self._model, ids[None]))
        top_logits, top_ids = logits.topk(min(CANDIDATES, logits.shape[1]), dim=1)
        normaliser = logits.logsumexp(1)
        entropy = torch.special.entr((logits - normaliser[:, None]).exp()).sum(1)
        named = {"top_ids": top_ids, "top_logits": top_logits, "log_normaliser": normaliser}
        named |= {"entropy": entropy, "hidden": hidden, EVERY: logits}
        arrays = {name: part.cpu().numpy() for name, part in named.items()}
        for first in range(0, len(ids), at_once):
            yield {name: array[first : first + at_once] for name, array in arrays.items()}


class GraphSteps:
    """Steps of an exported graph, which is what the edge runs."""

    def __init__(self, path: str | Path, context: int) -> None:
        self.context = context
        self._runner = Runner(Path(path), context)

    def pieces(self, ids: np.ndarray, at_once: int) -> Iterator[dict[str, np.ndarray]]:
        self._runner.rewind(0)
        for first in range(0, len(ids), at_once):
            yield self._runner.feed(ids[first : first + at_once], every=True)


def open_steps(path: str | Path, context: int) -> Steps:
    """The draft at `path`: a `draft.onnx`, or the directory of a checkpoint.

    Raises:
        InputError: there is neither.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        return CheckpointSteps(load_model(path))
    if not path.is_file():
        raise InputError(f"there is no graph at {path}; give a draft.onnx or the directory of a trained draft")
    return GraphSteps(path, context)
