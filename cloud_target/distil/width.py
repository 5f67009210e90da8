"""A model with a narrower residual stream, begun from the weights of a wide one.

The stream is turned so that its first directions are those that carry most, and the others are left out, as in SliceGPT
(Ashkboos et al., arXiv 2401.15024), with one rotation for the whole model, so that the architecture stays what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from cloud_target.distil.anatomy import Branch, Sizes, anatomy_of, narrowed
from cloud_target.engine.hf.reading import one_sentence
from cloud_target.engine.hf.typed import move
from cloud_target.training.corpus import reading
from shared.errors import InputError


@dataclass(frozen=True)
class Width:
    """What is kept of a model whose stream has H numbers, where N are left.

    Attributes:
        directions: of the stream, orthonormal columns, ``float32 [H, N]``. Where norms take the mean away, ones are
            turned into ones, so that it is the same that they take.
        gains: of each norm, by its name: with it what is read is as long as the part of it that is kept was.
        groups: of heads that share keys and values, ascending, ``int64 [layers, kept]``.
        neurons: ascending, ``int64 [layers, kept]``.
    """

    directions: np.ndarray
    gains: dict[str, float]
    groups: np.ndarray
    neurons: np.ndarray

    def save(self, path: Path) -> None:
        """Write it to a file, npz."""
        names = np.array(list(self.gains))
        gains = np.array(list(self.gains.values()), np.float64)
        np.savez(path, directions=self.directions, names=names, gains=gains, groups=self.groups, neurons=self.neurons)

    @classmethod
    def load(cls, path: Path) -> Width:
        """Read what `save` wrote.

        Raises:
            InputError: the file cannot be read.
        """
        with reading(path, "the width"), np.load(path) as arrays:
            gains = dict(zip(arrays["names"].tolist(), arrays["gains"].tolist(), strict=True))
            return cls(arrays["directions"], gains, arrays["groups"], arrays["neurons"])


def narrow(model: PreTrainedModel, width: Width) -> PreTrainedModel:
    """A model of its own, of the same architecture, whose stream has only the `directions` of a wide one.

    Gains of norms, and their biases, are multiplied into the products that read them, since a norm without them is the
    same whichever way the stream is turned; the norms get one gain each. Tables that are tied part by that, as the last
    norm's gains are in one of them only.
    So with all directions, heads and neurons the model computes what it did, up to rounding; but for norms behind a
    writer (Gemma 3), whose gains no turned norm can have: there what is added keeps its direction, and its length only
    in the mean, unless the gains are all the same.

    Args:
        model: float32.
        width: found for this model by `directions.find_width`.

    Raises:
        InputError: it has weights that are not known, or transformers knows no model of these sizes.
    """
    kind = type(model).__name__
    work = _Narrowing(model, width)
    sizes = Sizes.of(model.config).narrowed(width.directions.shape[1])
    with one_sentence(f"{kind} cannot be made narrower"):
        weights = work.weights()
        if work.left:
            raise InputError(
                f"{kind} cannot be made narrower: it has weights that nobody knows how to narrow "
                f"({sorted(work.left)[0]}); cut it with --layers alone, or give a smaller model with --from"
            )
        made: PreTrainedModel = type(model)(narrowed(model.config, sizes))
        made.load_state_dict(weights)
    return move(made, model.device).eval().requires_grad_(False)


class _Narrowing:
    """The weights of a model one after the other, each turned and cut.

    Attributes:
        left: weights, by name, that were not come to.
    """

    def __init__(self, model: PreTrainedModel, width: Width) -> None:
        self.left = dict(model.state_dict())
        self._made: dict[str, torch.Tensor] = {}
        self._anatomy, self._sizes, self._width = anatomy_of(model.config), Sizes.of(model.config), width
        self._directions = torch.as_tensor(width.directions, device=model.device)

    @torch.no_grad()
    def weights(self) -> dict[str, torch.Tensor]:
        """All of the narrow model."""
        anatomy = self._anatomy
        wide, kept = self._directions.shape
        for name in anatomy.embeddings:
            table = self.left.pop(f"{name}.weight") @ self._directions
            self._made[f"{name}.weight"] = table * (wide / kept) ** 0.5 if anatomy.grows else table
        for layer, (groups, neurons) in enumerate(zip(self._width.groups, self._width.neurons, strict=True)):
            for branch in (anatomy.attention, anatomy.feed_forward):
                self._branch(f"{anatomy.layers}.{layer}.", branch, groups, neurons)
            for name in anatomy.untouched:
                name = f"{anatomy.layers}.{layer}.{name}"
                self._made[name] = self.left.pop(name)
        gain, bias = self._norm(anatomy.norm)
        head = self.left.pop("lm_head.weight")
        self._made["lm_head.weight"] = turned = (head * gain) @ self._directions
        if bias is not None:
            # The head has no bias that could take it.
            wanted = (head @ bias)[:, None].double()
            self._made[f"{anatomy.norm}.bias"] = torch.linalg.lstsq(turned.double(), wanted).solution[:, 0].float()
        return self._made

    def _branch(self, layer: str, branch: Branch, groups: np.ndarray, neurons: np.ndarray) -> None:
        gain, bias = self._norm(layer + branch.norm)
        for name, parts in branch.readers:
            rows = self._rows(parts, groups, neurons)
            weight = self._product(layer + name)[rows]
            self._put(layer + name, (weight * gain) @ self._directions)
            own = self.left.pop(f"{layer}{name}.bias", None)
            if own is not None:
                self._made[f"{layer}{name}.bias"] = own[rows] if bias is None else own[rows] + weight @ bias
            elif bias is not None:
                raise InputError(f"{layer}{name} has no bias that could take that of the norm before it")
        scale = self._norm(layer + branch.behind)[0] if branch.behind else 1.0
        columns = self._rows("n" if branch is self._anatomy.feed_forward else "q", groups, neurons)
        weight = self._product(layer + branch.writer).T[columns]
        self._put(layer + branch.writer, ((weight * scale) @ self._directions).T)
        own = self.left.pop(f"{layer}{branch.writer}.bias", None)
        if own is not None:
            self._made[f"{layer}{branch.writer}.bias"] = (own * scale) @ self._directions

    def _norm(self, name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Gain and bias of a norm, which gets others."""
        gain = self.left.pop(f"{name}.weight") + self._anatomy.offset
        made = torch.full((self._directions.shape[1],), self._width.gains[name], device=gain.device)
        self._made[f"{name}.weight"] = made - self._anatomy.offset
        bias = self.left.pop(f"{name}.bias", None)
        if bias is not None:
            self._made[f"{name}.bias"] = torch.zeros_like(made)
        return gain, bias

    def _product(self, name: str) -> torch.Tensor:
        weight = self.left.pop(f"{name}.weight")
        return weight.T if self._anatomy.transposed else weight

    def _put(self, name: str, weight: torch.Tensor) -> None:
        self._made[f"{name}.weight"] = (weight.T if self._anatomy.transposed else weight).contiguous()

    def _rows(self, parts: str, groups: np.ndarray, neurons: np.ndarray) -> torch.Tensor:
        """Of the outputs of a product those that are kept, ``int64 [kept]``."""
        sizes, rows, before = self._sizes, [], 0
        shared = sizes.heads // sizes.groups * sizes.head
        for part in parts:
            each, kept, count = {
                "q": (shared, groups, sizes.groups),
                "k": (sizes.head, groups, sizes.groups),
                "v": (sizes.head, groups, sizes.groups),
                "n": (1, neurons, sizes.neurons),
            }[part]
            rows.append(before + (kept[:, None] * each + np.arange(each)).ravel())
            before += each * count
        return torch.as_tensor(np.concatenate(rows), device=self._directions.device)
