"""What a narrower draft keeps of a model: the directions that carry most, and the heads and neurons that add most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle
from tqdm import tqdm
from transformers import PreTrainedModel

from cloud_target.distil.anatomy import Sizes, anatomy_of
from cloud_target.distil.width import Width
from cloud_target.engine.hf.reading import one_sentence
from cloud_target.training.time_left import duration

# Beside a mean square, so that nothing stays nothing.
_LEAST = 1e-30
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
    layers = [f"{anatomy.layers}.{layer}." for layer in range(model.config.num_hidden_layers)]
    norms = [*(layer + branch.norm for layer in layers for branch in branches), anatomy.norm]

    def plain(x: torch.Tensor) -> torch.Tensor:
        x = x - x.mean(-1, keepdim=True) if anatomy.centred else x
        return x * (x.pow(2).mean(-1, keepdim=True) + _LEAST).rsqrt()

    covariance = torch.zeros((sizes.hidden, sizes.hidden), dtype=torch.float64, device=model.device)

    def spread(x: torch.Tensor) -> None:
        covariance.add_((plain(x).T @ plain(x)).double())

    run = _Runs(model, ids, 2, tell)
    with _given(model, dict.fromkeys(norms, spread)):
        run()
    directions = _principal(covariance, hidden, anatomy.centred).float()

    squares: dict[str, torch.Tensor] = {}

    def add(name: str, square: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> None:
        found = square(x).double()
        squares[name] = squares[name] + found if name in squares else found

    def kept_of(x: torch.Tensor) -> torch.Tensor:
        return (x @ directions).pow(2).sum()

    given = {name: partial(add, name, lambda x: kept_of(plain(x))) for name in norms}
    answered: dict[str, Hear] = {}
    for layer in layers:
        for branch in branches:
            rows, behind = _weight(model, layer + branch.writer), layer + (branch.behind or "")
            rows = rows if anatomy.transposed else rows.T
            if branch.behind:
                rows = rows * (_weight(model, behind) + anatomy.offset)
                answered[behind] = partial(add, behind, kept_of)
            if anatomy.centred:  # the mean of what is added is read by nobody
                rows = rows - rows.mean(-1, keepdim=True)
            rows = rows @ directions
            measure = _groups(rows, sizes.groups) if branch is anatomy.attention else _neurons(rows)
            given[layer + branch.writer] = partial(add, layer + branch.writer, measure)
    with _given(model, given), _answered(model, answered):
        run()
    kept = sizes.narrowed(hidden)
    return Width(
        directions.cpu().numpy(),
        {name: float(squares[name] / (ids.size * hidden)) ** 0.5 for name in (*norms, *answered)},
        np.stack([_most(squares[layer + anatomy.attention.writer], kept.groups) for layer in layers]),
        np.stack([_most(squares[layer + anatomy.feed_forward.writer], kept.neurons) for layer in layers]),
    )


def _weight(model: PreTrainedModel, name: str) -> torch.Tensor:
    return model.get_parameter(f"{name}.weight")


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
    """Runs a model over all texts, `times` times in all; says how long that takes."""

    def __init__(self, model: PreTrainedModel, ids: np.ndarray, times: int, tell: Callable[[str], None]) -> None:
        self._model, self._ids, self._tell = model, torch.as_tensor(ids, device=model.device), tell
        self._times, self._run = times, 0

    @torch.inference_mode()
    def __call__(self) -> None:
        self._run += 1
        started, what = time.monotonic(), f"width, {self._run} of {self._times}"
        for number, row in enumerate(tqdm(self._ids, unit=" texts", mininterval=2, desc=what)):
            with one_sentence(f"{type(self._model).__name__} cannot be made narrower: it does not run"):
                self._model(input_ids=row[None], use_cache=False)
            if self._run == 1 and number == 0:
                self._tell(f"about {duration((time.monotonic() - started) * self._times * len(self._ids))}")


@contextmanager
def _given(model: nn.Module, hear: Mapping[str, Hear]) -> Iterator[None]:
    """For the length of a `with` block, what modules are given is heard, by their names."""

    def hook(one: Hear, _: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        one(given[0].flatten(0, 1))

    with _hooks(model.get_submodule(name).register_forward_pre_hook(partial(hook, one)) for name, one in hear.items()):
        yield


@contextmanager
def _answered(model: nn.Module, hear: Mapping[str, Hear]) -> Iterator[None]:
    """Likewise, what they answer."""

    def hook(one: Hear, _: nn.Module, __: object, answer: torch.Tensor) -> None:
        one(answer.flatten(0, 1))

    with _hooks(model.get_submodule(name).register_forward_hook(partial(hook, one)) for name, one in hear.items()):
        yield


@contextmanager
def _hooks(made: Iterable[RemovableHandle]) -> Iterator[None]:
    hooks = list(made)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
