"""Fit the verifier's head on labelled rows (SPRINTER, arXiv 2502.04557, section 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from cloud_target.export.head import export_head
from cloud_target.training.label import Rows
from shared.errors import InputError

UNITS = 64
# Log-odds beyond which onnxruntime takes a sigmoid for flat, and so a device does.
_FARTHEST = 18.0
# Rows that are summed up at once.
_AT_ONCE = 4096


class Doubter(Protocol):
    """Whatever doubts as a trained head does: the head itself, or one that was exported."""

    def doubt(self, features: np.ndarray) -> np.ndarray:
        """The probability that the drawn token is off-target by each criterion, ``float32 [N, 2]``."""
        ...


@dataclass(frozen=True)
class Head:
    """A trained head: ``sigmoid(w2 · relu(w1 · (x - mean) / std + b1) + b2)``, linear where `w1` is None.

    Attributes:
        mean, std: of the features over the training rows, ``float32 [features]``.
        w1, b1: hidden layer, ``float32 [units, features]`` and ``[units]``, or None.
        w2, b2: output layer, ``float32 [2, units or features]`` and ``[2]``; rows as `shared.manifest.DOUBT_COLUMNS`.
    """

    mean: np.ndarray
    std: np.ndarray
    w1: np.ndarray | None
    b1: np.ndarray | None
    w2: np.ndarray
    b2: np.ndarray

    def doubt(self, features: np.ndarray) -> np.ndarray:
        """The probability that the drawn token is off-target by each criterion, ``float32 [N, 2]``."""
        x = (features - self.mean) / self.std
        if self.w1 is not None:
            x = np.maximum(x @ self.w1.T + self.b1, 0)
        log_odds = np.clip(x @ self.w2.T + self.b2, -_FARTHEST, _FARTHEST)
        return (1 / (1 + np.exp(-log_odds))).astype(np.float32)

    def export(self, path: str | Path) -> None:
        """Write the head as an ONNX graph."""
        export_head(path, self.mean, self.std, self.w1, self.b1, self.w2, self.b2)


@dataclass(frozen=True)
class FitSettings:
    """How a head is fitted.

    Attributes:
        units: of the hidden layer; 0 fits a linear head.
        epochs: at most; the weights of the best one are kept.
        patience: epochs without a better held-out loss before the end.
        held_out: share of the documents that decide which epoch is best.
    """

    units: int = UNITS
    epochs: int = 12
    patience: int = 3
    held_out: float = 0.1
    batch: int = 2048
    peak: float = 2e-3
    weight_decay: float = 0.02
    seed: int = 0


def fit(rows: Rows, settings: FitSettings, visible: np.ndarray | None = None) -> tuple[Head, float]:
    """Fit a head by binary cross-entropy on both criteria; documents, never rows, are held out for early stopping.

    Args:
        rows: labelled draft steps of many documents.
        settings: of the fit.
        visible: which features the head may use, ``bool [features]``; all if not given.

    Returns:
        The head, and its held-out loss in nats, summed over both criteria.

    Raises:
        InputError: the held-out loss is not finite after any epoch.
    """
    random = np.random.default_rng(settings.seed)
    documents = np.unique(rows.document)
    held = random.permutation(documents)[: max(1, round(settings.held_out * len(documents)))]
    testing = np.isin(rows.document, held)
    train, test = (torch.from_numpy(np.flatnonzero(mask)) for mask in (~testing, testing))
    mean, std = _moments(rows.features, train.numpy())
    mask = None if visible is None else torch.from_numpy(visible.astype(np.float32))
    given, centre, scale = map(torch.from_numpy, (rows.features, mean, std))

    def inputs_of(some: torch.Tensor) -> torch.Tensor:
        # Anew for each batch: a standardised copy of all rows would be as large as they are.
        x = given[some].sub_(centre).div_(scale)
        return x if mask is None else x.mul_(mask)

    y = torch.from_numpy(np.stack((rows.off_typical, rows.off_strict), 1).astype(np.float32))
    held_inputs = inputs_of(test)

    torch.manual_seed(settings.seed)
    inputs, units = given.shape[1], settings.units
    layers = [nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, 2)] if units else [nn.Linear(inputs, 2)]
    model = nn.Sequential(*layers)
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.peak, weight_decay=settings.weight_decay)
    steps = settings.epochs * max(1, len(train) // settings.batch)
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * min(step / steps, 1)))
    )
    best, best_state, waited = float("inf"), None, 0
    with tqdm(range(settings.epochs), desc=f"head of {units} units" if units else "linear head", mininterval=5) as bar:
        for _ in bar:
            order = train[torch.from_numpy(random.permutation(len(train)))]
            for chunk in order.split(settings.batch)[: max(1, len(train) // settings.batch)]:
                optimiser.zero_grad(set_to_none=True)
                loss = 2 * F.binary_cross_entropy_with_logits(model(inputs_of(chunk)), y[chunk])
                loss.backward()
                optimiser.step()
                schedule.step()
            with torch.inference_mode():
                held_out = 2 * float(F.binary_cross_entropy_with_logits(model(held_inputs), y[test]))
            bar.set_postfix_str(f"held-out loss {held_out:.4f}")
            waited += 1
            if held_out < best:
                best, waited = held_out, 0
                best_state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            if waited >= settings.patience:
                break
    if best_state is None:
        raise InputError("a verifier's head cannot be fitted to rows whose loss is not finite; make the rows again")
    weights = [tensor.numpy() for tensor in best_state.values()]
    if visible is not None:
        weights[0] = weights[0] * visible
    hidden = weights[:2] if units else (None, None)
    return Head(mean, std, *hidden, *weights[-2:]), best


def _moments(features: np.ndarray, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of some of the rows, ``float32 [features]`` each; 1 where nothing varies."""
    parts = [some[i : i + _AT_ONCE] for i in range(0, len(some), _AT_ONCE)]
    count = max(len(some), 1)
    mean = np.sum([features[part].sum(0, dtype=np.float64) for part in parts], 0) / count
    variance = np.sum([((features[part] - mean) ** 2).sum(0) for part in parts], 0) / count
    std = np.sqrt(variance)
    return mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32)
