"""What a narrower draft keeps of a model: the directions that carry most, and the heads and neurons that add most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedModel

from cloud_target.distil.anatomy import Sizes, anatomy_of
from cloud_target.distil.width import Width, added
from cloud_target.engine.hf.reading import one_sentence
from cloud_target.training.time_left import duration

# Is given what a module was given, or what it answered, a text at a time: ``[n, size]``.
Hear = Callable[[torch.Tensor], None]


def find_width(
    model: PreTrainedModel, ids: np.ndarray, hidden: int, tell: Callable[[str], None] = lambda _: None
) -> Width:
    """What to keep where `hidden` numbers are left of the residual stream.

    The directions are the principal ones of what all norms of the model make of the stream, each as weighty as the
    others. Of each layer those heads are kept whose sum adds most to these directions (mean square), and those neurons
    whose outputs, times their columns of weights, do. Nothing is drawn.

    Args:
        model: of a known kind, float32.
        ids: text to measure on, ``int64 [b, n]``.
        hidden: from 1 to all that there are.
        tell: is told how long it will take.

    Raises:
        InputError: the kind is not known, or it does not run.
    """
    anatomy, sizes = anatomy_of(model.config), Sizes.of(model.config)
    branches = (anatomy.attention, anatomy.feed_forward)
    layers = [f"{anatomy.layers}.{layer}." for layer in range(len(model.get_submodule(anatomy.layers)))]  # type: ignore[arg-type]
    norms = [*(layer + branch.norm for layer in layers for branch in branches), anatomy.norm]

    def plain(x: torch.Tensor) -> torch.Tensor:
        x = x - x.mean(-1, keepdim=True) if anatomy.centred else x
        return x * x.pow(2).mean(-1, keepdim=True).rsqrt()

    covariance = torch.zeros((sizes.hidden, sizes.hidden), dtype=torch.float64, device=model.device)

    def spread(x: torch.Tensor) -> None:
        covariance.add_((plain(x).T @ plain(x)).double())

    run = _Runs(model, ids, tell)
    with _given(model, dict.fromkeys(norms, spread)):
        run()
    directions = _principal(covariance, hidden, anatomy.centred).float()

    squares: dict[str, Any] = {}

    def add(name: str, found: torch.Tensor) -> None:
        squares[name] = squares.get(name, 0.0) + found.double()

    given: dict[str, Hear] = {}
    answered: dict[str, Hear] = {}
    for name in norms:
        given[name] = lambda x, name=name: add(name, (plain(x) @ directions).pow(2).sum())  # type: ignore[misc]
    for layer in layers:
        for branch in branches:
            heads = branch is anatomy.attention
            writer = layer + branch.writer
            weight: torch.Tensor = model.get_submodule(writer).weight  # type: ignore[assignment]
            scale = 1.0
            if branch.behind:
                behind = layer + branch.behind
                scale = model.get_submodule(behind).weight + anatomy.offset  # type: ignore[operator,assignment]
                answered[behind] = lambda y, name=behind: add(name, (y @ directions).pow(2).sum())  # type: ignore[misc]
            rows = added((weight if anatomy.transposed else weight.T) * scale, directions, anatomy.centred)
            measure = _groups(rows, sizes.groups) if heads else _neurons(rows)
            given[writer] = lambda a, name=writer, measure=measure: add(name, measure(a))  # type: ignore[misc]
    with _given(model, given), _answered(model, answered):
        run()
    run.close()
    kept = sizes.narrowed(hidden)
    return Width(
        directions.cpu().numpy(),
        {name: float(squares[name] / (ids.size * hidden)) ** 0.5 for name in (*norms, *answered)},
        np.stack([_most(squares[layer + anatomy.attention.writer], kept.groups) for layer in layers]),
        np.stack([_most(squares[layer + anatomy.feed_forward.writer], kept.neurons) for layer in layers]),
    )


def _principal(covariance: torch.Tensor, count: int, centred: bool) -> torch.Tensor:
    """Orthonormal columns, ``[H, count]``: the directions with most of the variance, by which they are in order; each
    points to where its largest number is above zero.

    Where the mean is taken away there is nothing along ones. Then the first column is ones before the columns are
    turned so that ones stay ones.
    """
    ones = torch.full((len(covariance), 1), len(covariance) ** -0.5, dtype=covariance.dtype, device=covariance.device)
    if centred:  # so that the last direction is that of ones, whatever the others are
        covariance = covariance - (1 + covariance.trace()) * ones @ ones.T
    found = torch.linalg.eigh(covariance).eigenvectors.flip(-1)[:, : count - int(centred)]
    found = found * found.gather(0, found.abs().argmax(0, keepdim=True)).sign()
    if not centred or count == 1:
        return found
    found = torch.cat([ones, found], 1)
    # The reflection that exchanges the first axis with that of ones (Householder).
    normal = torch.full((count,), count**-0.5, dtype=found.dtype, device=found.device)
    normal[0] -= 1
    normal /= normal.norm()
    return found - 2 * torch.outer(found @ normal, normal)


def _groups(rows: torch.Tensor, count: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """How much each of `count` groups of heads adds in all, of what the product with ``rows [inputs, N]`` is given."""
    each = rows.unflatten(0, (count, -1))
    return lambda given: torch.einsum("tgi,gin->gtn", given.unflatten(-1, (count, -1)), each).pow(2).sum((1, 2))


def _neurons(rows: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Likewise for each neuron."""
    lengths = rows.pow(2).sum(-1)
    return lambda given: given.pow(2).sum(0) * lengths


def _most(squares: torch.Tensor, count: int) -> np.ndarray:
    """The indices of the largest, ascending."""
    return np.sort(np.argsort(-squares.cpu().numpy(), kind="stable")[:count]).astype(np.int64)


class _Runs:
    """Runs a model over all texts, twice; says how long that takes."""

    def __init__(self, model: PreTrainedModel, ids: np.ndarray, tell: Callable[[str], None]) -> None:
        self._model, self._ids, self._tell = model, torch.as_tensor(ids, device=model.device), tell
        self._bar = tqdm(total=2 * len(ids), unit=" texts", mininterval=2, desc="width")

    @torch.inference_mode()
    def __call__(self) -> None:
        for row in self._ids:
            started = time.monotonic()
            with one_sentence(f"{type(self._model).__name__} cannot be made narrower: it does not run"):
                self._model(input_ids=row[None], use_cache=False)
            if not self._bar.n:
                self._tell(f"about {duration((time.monotonic() - started) * 2 * len(self._ids))}")
            self._bar.update()

    def close(self) -> None:
        self._bar.close()


@contextmanager
def _given(model: nn.Module, hear: dict[str, Hear]) -> Iterator[None]:
    """For the length of a `with` block, what modules are given is heard, by their names."""
    hooks = [
        model.get_submodule(name).register_forward_pre_hook(lambda _, given, one=one: one(given[0].flatten(0, 1)))  # type: ignore[misc]
        for name, one in hear.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _answered(model: nn.Module, hear: dict[str, Hear]) -> Iterator[None]:
    """Likewise, what they answer."""
    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _, __, y, one=one: one(y.flatten(0, 1)))  # type: ignore[misc]
        for name, one in hear.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
