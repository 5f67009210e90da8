"""Does a draft graph compute what the checkpoint computes? And the probe by which a device sees that it still does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from cloud_target.engine.hf.switches import bearable_length, trial_length
from cloud_target.engine.hf.trial import trial_text
from cloud_target.engine.hf.typed import only_logits
from cloud_target.export.arithmetic import in_float32
from cloud_target.export.builder import Graph
from cloud_target.export.precision import Precision
from cloud_target.export.runner import Runner
from shared.errors import BundleError
from shared.manifest import Probe

# Errors are measured in standard deviations of the values themselves: float32 sums in another order, nothing more.
ALLOWED = 5e-4
_CHUNKS = (1, 2, 3, 5, 7)
_REWINDS = 4
# Of a long text: tokens read at once, rows that are compared, and tokens at its end that are read one by one.
_CHUNK, _ROWS, _ALONE = 128, 64, 16
_PROBE_LENGTH = 48
# Bytes of attention scores over a long text: much less than a checkpoint takes.
_SCORES = 1 << 27
# Of a short text: tokens at its end that are read one by one.
_LAST = 2
_PROBE_CANDIDATES = 8
# Another processor rounds otherwise. A wrong rotary base or a damaged weight moves logits by whole deviations.
_PROBE_TOLERANCE = {"float32": 0.02, "int8": 0.2, "int4": 0.2}


@dataclass(frozen=True)
class Differences:
    """The largest differences between a graph and torch, each over the standard deviation of the true values.

    Attributes:
        logits: of the candidates.
        normaliser, entropy: of the two summaries of the distribution, in deviations of the logits.
        hidden: of the hidden state after the final norm.
    """

    logits: float = 0.0
    normaliser: float = 0.0
    entropy: float = 0.0
    hidden: float = 0.0

    @property
    def largest(self) -> float:
        return max(self.logits, self.normaliser, self.entropy, self.hidden)

    def worst(self, other: Differences) -> Differences:
        """Of each kind, the larger one."""
        return Differences(*(max(getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__))


def compare(graph: Path | Graph, model: PreTrainedModel, context: int, ids: Sequence[int]) -> Differences:
    """Feed `ids` whole, in chunks of several sizes, and after going back to several places, against torch.

    Args:
        graph: a float32 draft graph of either kind.
        model: the checkpoint it was made from, its head cut to the vocabulary, in whatever dtype.
        context: of the graph, at least as long as `ids`.
    """
    truth = reference(model, ids)
    runner = Runner(graph, context)
    worst = _difference(runner.feed(ids), truth, 0)
    rng = np.random.default_rng(0)
    for start in (0, *rng.integers(0, len(ids), _REWINDS).tolist()):
        for size in _CHUNKS:
            if start > runner.length:
                runner.feed(ids[runner.length : start])
            runner.rewind(start)
            for first in range(start, min(start + 4 * size, len(ids)), size):
                worst = worst.worst(_difference(runner.feed(ids[first : first + size]), truth, first))
    return worst


def compare_far(graph: Path | Graph, model: PreTrainedModel, context: int, ids: Sequence[int]) -> Differences:
    """Read a long text in large chunks, and its end token by token, as a device does; some of its rows against torch.

    Args:
        graph, model, context: as in `compare`.
        ids: more than `_ALONE`.
    """
    alone = len(ids) - _ALONE
    rows = np.unique(np.concatenate((np.arange(0, alone, -(-alone // _ROWS)), np.arange(alone, len(ids)))))
    truth = reference(model, ids, rows)
    runner = Runner(graph, context)
    worst = Differences()
    for first in (*range(0, alone, _CHUNK), *range(alone, len(ids))):
        end = min(first + _CHUNK, alone) if first < alone else first + 1
        wanted = np.flatnonzero((rows >= first) & (rows < end))
        step = runner.feed(ids[first:end], rows[wanted] - first)
        if len(wanted):
            worst = worst.worst(_difference(step, truth, int(wanted[0])))
    return worst


def compare_stored(
    graph: Path, model: PreTrainedModel, context: int, ids: Sequence[int], stored: Precision | None
) -> Differences:
    """Read `ids`, the last of them one by one, against torch with the very weights that the graph has.

    Args:
        graph: in float32, or with weights as `stored` has them and activations in float32.
    """
    truth = reference(model, ids, stored=stored)
    runner = Runner(graph, context)
    alone = max(len(ids) - _LAST, 1)
    worst = _difference(runner.feed(ids[:alone]), truth, 0)
    for first in range(alone, len(ids)):
        worst = worst.worst(_difference(runner.feed(ids[first : first + 1]), truth, first))
    return refuse_other(worst)


def refuse_other(differences: Differences) -> Differences:
    """Let pass what differs by rounding only.

    Raises:
        BundleError: it differs by more.
    """
    if not differences.largest <= ALLOWED:  # also true of NaN
        raise BundleError(
            f"the exported graph does not compute what the checkpoint computes: {differences}, at most {ALLOWED} is "
            "allowed; try the other --kind, and report this model"
        )
    return differences


def check(graph: Path | Graph, model: PreTrainedModel, context: int, ids: Sequence[int]) -> Differences:
    """As `compare`, and over the whole context, or as much of it as can be borne; a graph that differs is refused.

    Raises:
        BundleError: it differs from torch by more than rounding.
    """
    differences = compare(graph, model, context, ids)
    config, size, device = model.config, model.num_parameters(), model.device
    # Past every window, whatever that takes; beyond, as much as leaves an export small.
    most = max(
        min(context, bearable_length(config, size, device, _SCORES)), trial_length(config, context, size, device)
    )
    if most > len(ids):
        vocabulary = model.get_output_embeddings().weight.shape[0]
        differences = differences.worst(compare_far(graph, model, context, trial_text(most, vocabulary)))
    return refuse_other(differences)


@torch.inference_mode()
def reference(
    model: PreTrainedModel, ids: Sequence[int], rows: np.ndarray | None = None, stored: Precision | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Torch's logits ``[n, vocabulary]`` and the input of its head ``[n, hidden]``, in float32, of some rows or all.

    Args:
        stored: as in `in_float32`.
    """
    kept = {} if rows is None else only_logits(model, torch.from_numpy(rows))
    hidden: list[torch.Tensor] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
    try:
        with in_float32(model, stored):
            logits = model(input_ids=torch.tensor([list(ids)]), use_cache=False, **kept).logits
    finally:
        hook.remove()
    found = logits[0].float().numpy(), hidden[-1][0].float().numpy()
    return found if rows is None or kept else (found[0][rows], found[1][rows])


def probe_ids(vocabulary: int, context: int) -> list[int]:
    """A prompt that needs no tokenizer: ids from all over the vocabulary, long enough for positions to matter."""
    count = min(_PROBE_LENGTH, context)
    return [(17 + 7919 * i * i) % vocabulary for i in range(count)]


def make_probe(runner: Runner, ids: Sequence[int], spread: float, dtype: str) -> Probe:
    """What the graph says now, to be compared with what it says on a device.

    Args:
        runner: of the finished graph.
        ids: the prompt.
        spread: standard deviation of the logits.
        dtype: of the graph's weights, "float32", "int8" or "int4".
    """
    runner.rewind(0)
    step = runner.feed(ids, [len(ids) - 1])
    return Probe(
        ids=list(ids),
        top_ids=step["top_ids"][0, :_PROBE_CANDIDATES].tolist(),
        top_logits=step["top_logits"][0, :_PROBE_CANDIDATES].tolist(),
        tolerance=_PROBE_TOLERANCE[dtype] * spread,
    )


def _difference(step: dict[str, np.ndarray], truth: tuple[np.ndarray, np.ndarray], first: int) -> Differences:
    rows = slice(first, first + len(step["hidden"]))
    logits, hidden = (values[rows].astype(np.float64) for values in truth)
    shifted = logits - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1)) + logits.max(axis=1)
    log_p = logits - normaliser[:, None]
    entropy = -(np.exp(log_p) * log_p).sum(axis=1)
    likeliest = -np.sort(-logits, axis=1)[:, : step["top_ids"].shape[1]]
    at_ids = np.take_along_axis(logits, step["top_ids"], axis=1)
    spread = logits.std() + 1e-12
    return Differences(
        # Candidates must have their own logits, and these must be the largest there are.
        logits=max(_largest(step["top_logits"], values, spread) for values in (at_ids, likeliest)),
        normaliser=_largest(step["log_normaliser"], normaliser, spread),
        entropy=_largest(step["entropy"], entropy, spread),
        hidden=_largest(step["hidden"], hidden, hidden.std() + 1e-12),
    )


def _largest(values: np.ndarray, truth: np.ndarray, unit: float) -> float:
    return float(np.abs(values - truth).max() / unit)
