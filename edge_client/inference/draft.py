"""The draft model on the device: tokens in, the likeliest next tokens out.

Both kinds of graph stand behind one interface. `length` tokens of the text have been read, `feed` reads more, `rewind`
forgets. Beyond them may stand a tree of nodes, tokens that could come next: `grow` reads more of those, `keep` makes
some of them the text. What a graph gives is described in `cloud_target/export/candidates.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import onnxruntime
from onnxruntime import OrtValue

from shared.errors import ContextLengthError, InputError
from shared.manifest import DraftGraph
from shared.resident import untouched

# A long prompt is read in pieces, so that the memory it takes for a moment stays small.
_CHUNK = 128
# What is added to the score of a place that a token does not see: e to this power is 0 in every arithmetic.
_HIDDEN = -1e9
# The output with all logits.
_EVERY = "logits"


class Leaf(NamedTuple):
    """A token to be read as a new node of the tree.

    Attributes:
        token: its id.
        parent: number of the node that it follows, in the order in which they were grown; -1 where it follows the text.
    """

    token: int
    parent: int


@dataclass(slots=True)
class Step:
    """What the draft thinks of the next token. The arrays are overwritten by the next `feed` or `grow`.

    Attributes:
        ids: the likeliest tokens, best first, ``int64 [K]``.
        logits: their raw logits, ``float32 [K]``.
        log_normaliser: log-sum-exp of all raw logits, nats.
        entropy: of the whole distribution at temperature 1, nats.
        hidden: hidden state after the final norm, ``float32 [hidden]``.
        every: all raw logits, ``float32 [V]``; None where the graph, as those from before, does not give them.
    """

    ids: np.ndarray
    logits: np.ndarray
    log_normaliser: float
    entropy: float
    hidden: np.ndarray
    every: np.ndarray | None = None


class Draft(ABC):
    """A draft and what it has read.

    Attributes:
        length: tokens of the text that are read, that is in its key-value cache.
        ids: which ones.
        nodes: beyond the text.
        branches: whether several nodes may follow the same one; else the tree is a single line.
        context: longest sequence in tokens, nodes included.
        vocabulary: number of token ids.
    """

    branches = False

    def __init__(self, vocabulary: int, context: int) -> None:
        self.length = self.nodes = 0
        self.ids: list[int] = []
        self._node_ids: list[int] = []
        self.context = context
        self.vocabulary = vocabulary

    def feed(self, ids: Sequence[int]) -> Step:
        """Read more tokens of the text; returns what comes after the last. Either all are read or, on an error, none.

        The tree is forgotten.

        Raises:
            InputError: no ids, or one outside the vocabulary.
            ContextLengthError: more tokens than the context holds.
        """
        count, self.nodes = len(ids), 0
        if count == 1:
            if 0 <= ids[0] < self.vocabulary and self.length < self.context:
                step = self._read(ids)
                self.ids.append(ids[0])
                return step
        elif count and self.length + count <= self.context and min(ids) >= 0 and max(ids) < self.vocabulary:
            for first in range(0, count, _CHUNK):
                step = self._read(ids[first : first + _CHUNK])
                self.ids += ids[first : first + _CHUNK]
            return step
        raise self._refusal(ids)

    def rewind(self, length: int) -> None:
        """Forget everything from position `length` on, and the tree.

        Raises:
            InputError: less than `length` tokens have been read.
        """
        if not 0 <= length <= self.length:
            raise InputError(
                f"cannot go back to position {length}: the draft has read {self.length} tokens; give a position that "
                "it has reached"
            )
        self.length, self.nodes = length, 0
        del self.ids[length:]

    def grow(self, leaves: Sequence[Leaf]) -> list[Step]:
        """Read new nodes; returns what comes after each. They are numbered on in this order.

        Raises:
            InputError: one follows no node that there is, or, without `branches`, not the last one; or its id is
                outside the vocabulary.
            ContextLengthError: text and tree do not fit in the context.
        """
        for number, leaf in enumerate(leaves, self.nodes):
            if not 0 <= leaf.token < self.vocabulary or self.length + self.nodes + len(leaves) > self.context:
                raise self._refusal([leaf.token for leaf in leaves])
            last = self.nodes - 1 if self.branches else number - 1
            if not (-1 if self.branches else last) <= leaf.parent <= last:
                raise InputError(
                    f"node {number} cannot follow node {leaf.parent}; it may follow one that was grown before"
                )
        self._node_ids[self.nodes :] = [leaf.token for leaf in leaves]
        return self._grow(leaves)

    def keep(self, path: Sequence[int], rest: Sequence[int] = ()) -> None:
        """Make some nodes the text, and keep some that follow them as the tree; all others are forgotten.

        Args:
            path: nodes that follow each other from the text on.
            rest: nodes behind the last of these, parents before their children; they are numbered anew, from 0.
        """
        self._keep(path, rest)
        self.ids += [self._node_ids[node] for node in path]
        self._node_ids = [self._node_ids[node] for node in rest]
        self.length += len(path)
        self.nodes = len(rest)

    @abstractmethod
    def _grow(self, leaves: Sequence[Leaf]) -> list[Step]:
        """As `grow`, for leaves that are known to be good."""

    @abstractmethod
    def _keep(self, path: Sequence[int], rest: Sequence[int]) -> None:
        """Let these nodes stand behind the text, in this order."""

    @abstractmethod
    def _read(self, ids: Sequence[int]) -> Step:
        """Read at most `_CHUNK` tokens that are known to be good."""

    def _refusal(self, ids: Sequence[int]) -> InputError:
        if not len(ids):
            return InputError("there is nothing for the draft to read; give at least one token")
        wrong = [token for token in ids if not 0 <= token < self.vocabulary]
        if wrong:
            return InputError(
                f"token id {wrong[0]} is outside the vocabulary of {self.vocabulary}; use the bundle's own tokenizer"
            )
        return ContextLengthError(
            f"{self.length} tokens and {len(ids)} more do not fit in the draft's context of {self.context}; "
            "shorten the prompt or write fewer tokens",
            options=("max_tokens",),
        )


class SharedBufferDraft(Draft):
    """Past and present are the same memory, as long as the context: going back is a smaller integer.

    The nodes of a tree stand behind the text in the order in which they were grown, and see the text, their ancestors
    and themselves.
    """

    branches = True

    def __init__(self, session: onnxruntime.InferenceSession, graph: DraftGraph, vocabulary: int, context: int) -> None:
        super().__init__(vocabulary, context)
        self._run = session.run_with_iobinding
        self._new_binding = session.io_binding
        self._graph = graph
        self._every = _width_of_every(session)
        self._last = np.zeros(1, np.int32)
        self._cache = [untouched((1, graph.kv_heads, context, graph.head_size)) for _ in range(2 * graph.layers)]
        names = [f"{layer}.{kind}" for layer in range(graph.layers) for kind in ("key", "value")]
        buffers = {name: _value(buffer) for name, buffer in zip(names, self._cache, strict=True)}
        self._inputs = {"last": _value(self._last)} | {f"past.{name}": value for name, value in buffers.items()}
        self._presents = {f"present.{name}": value for name, value in buffers.items()}
        # All memory is bound once for each number of new tokens; a step then only writes a few integers.
        self._texts: dict[int, _Bound] = {}
        self._trees: dict[int, _Bound] = {}
        # A text sees all that stands before it.
        self._everything = untouched((_CHUNK * context,))
        self._last_row = _Outputs(1, graph, self._every)
        # What the nodes see of each other, a row a node, and how far each is behind the text.
        self._seen = np.zeros((0, 0), np.float32)
        self._depths: list[int] = []

    def _read(self, ids: Sequence[int]) -> Step:
        count = len(ids)
        bound = self._texts.get(count)
        if bound is None:
            mask = self._everything[: count * self.context].reshape(1, 1, count, self.context)
            bound = self._texts[count] = self._bind(count, [count - 1], mask, self._last_row)
        total = self.length + count
        bound.ids[0] = ids
        if count == 1:
            bound.positions[0, 0] = self.length
        else:
            bound.positions[0] = np.arange(self.length, total)
        self._last[0] = total - 1
        self._run(bound.binding)
        self.length = total
        return self._last_row.step(0)

    def _grow(self, leaves: Sequence[Leaf]) -> list[Step]:
        count, nodes = len(leaves), self.nodes + len(leaves)
        bound = self._trees.get(count)
        if bound is None:
            mask = untouched((1, 1, count, self.context))
            bound = self._trees[count] = self._bind(
                count, range(count), mask, _Outputs(count, self._graph, self._every)
            )
        seen = np.full((nodes, nodes), _HIDDEN, np.float32)
        seen[: self.nodes, : self.nodes] = self._seen[: self.nodes, : self.nodes]
        depths = self._depths[: self.nodes]
        for number, (token, parent) in enumerate(leaves, self.nodes):
            if parent >= 0:
                seen[number] = seen[parent]
            seen[number, number] = 0.0
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
            bound.ids[0, number - self.nodes] = token
            bound.positions[0, number - self.nodes] = self.length + depths[number]
        bound.mask[..., : self.length] = 0.0
        bound.mask[0, 0, :, self.length : self.length + nodes] = seen[self.nodes :]
        self._last[0] = self.length + nodes - 1
        self._run(bound.binding)
        self._seen, self._depths, self.nodes = seen, depths, nodes
        return [bound.outputs.step(row) for row in range(count)]

    def _keep(self, path: Sequence[int], rest: Sequence[int]) -> None:
        kept = [*path, *rest]
        if kept != list(range(len(kept))):
            places = [self.length + node for node in kept]
            for buffer in self._cache:
                buffer[:, :, self.length : self.length + len(kept)] = buffer[:, :, places]
        self._seen = self._seen[np.ix_(rest, rest)]
        self._depths = [self._depths[node] - len(path) for node in rest]

    def _bind(self, count: int, rows: Sequence[int], mask: np.ndarray, outputs: _Outputs) -> _Bound:
        ids, positions = np.zeros((1, count), np.int64), np.zeros((1, count), np.int64)
        binding = self._new_binding()
        new = {"ids": ids, "positions": positions, "rows": np.array(rows), "mask": mask}
        for name, value in ({name: _value(array) for name, array in new.items()} | self._inputs).items():
            binding.bind_ortvalue_input(name, value)
        for name, value in (outputs.values | self._presents).items():
            binding.bind_ortvalue_output(name, value)
        return _Bound(ids, positions, mask, outputs, binding)


class _Outputs:
    """The memory that a run writes what it found into, for some rows.

    Args:
        every: V, where the graph gives all logits; else 0.

    Attributes:
        values: as onnxruntime sees it, by name.
    """

    def __init__(self, rows: int, graph: DraftGraph, every: int) -> None:
        ids, logits = (np.zeros((rows, graph.candidates), dtype) for dtype in (np.int64, np.float32))
        hidden = np.zeros((rows, graph.hidden), np.float32)
        self._normaliser, self._entropy = np.zeros(rows, np.float32), np.zeros(rows, np.float32)
        self._steps = [Step(ids[row], logits[row], 0.0, 0.0, hidden[row]) for row in range(rows)]
        self.values = {
            "top_ids": _value(ids),
            "top_logits": _value(logits),
            "log_normaliser": _value(self._normaliser),
            "entropy": _value(self._entropy),
            "hidden": _value(hidden),
        }
        if every:
            logits = np.zeros((rows, every), np.float32)
            self.values[_EVERY] = _value(logits)
            for step, row in zip(self._steps, logits, strict=True):
                step.every = row

    def step(self, row: int) -> Step:
        """What was found in one row."""
        step = self._steps[row]
        step.log_normaliser = self._normaliser.item(row)
        step.entropy = self._entropy.item(row)
        return step


class _Bound(NamedTuple):
    """What one run reads and writes, for some number of new tokens."""

    ids: np.ndarray
    positions: np.ndarray
    mask: np.ndarray
    outputs: _Outputs
    binding: onnxruntime.IOBinding


class ConcatDraft(Draft):
    """Each step returns a new, longer cache; going back cuts it, when the next step is due."""

    _HEADS = ("top_ids", "top_logits", "log_normaliser", "entropy", "hidden")

    def __init__(self, session: onnxruntime.InferenceSession, graph: DraftGraph, vocabulary: int, context: int) -> None:
        super().__init__(vocabulary, context)
        self._run = session.run
        parts = [f"{layer}.{kind}" for layer in range(graph.layers) for kind in ("key", "value")]
        every = [_EVERY] if _width_of_every(session) else []
        self._names = [*self._HEADS, *(f"present.{part}" for part in parts), *every]
        empty = np.zeros((1, graph.kv_heads, 0, graph.head_size), np.float32)
        self._past = {f"past.{part}": empty for part in parts}
        self._held = 0
        nothing = np.zeros(0, np.float32)
        self._step = Step(nothing, nothing, 0.0, 0.0, nothing)

    def _read(self, ids: Sequence[int]) -> Step:
        step = self._after(ids, self.length)
        self.length += len(ids)
        return step

    def _grow(self, leaves: Sequence[Leaf]) -> list[Step]:
        steps = []
        for leaf in leaves:
            steps.append(replace(self._after([leaf.token], self.length + self.nodes)))
            self.nodes += 1
        return steps

    def _keep(self, path: Sequence[int], rest: Sequence[int]) -> None:
        """They are the first of a single line."""

    def _after(self, ids: Sequence[int], length: int) -> Step:
        """What comes after these tokens, behind the first `length` of those in the cache."""
        if length < self._held:
            self._past = {name: np.ascontiguousarray(past[:, :, :length]) for name, past in self._past.items()}
        count = len(ids)
        # Plain arrays are as fast here as bound memory, for every step makes new caches anyway.
        inputs = {"ids": np.array([ids], np.int64), "rows": np.array([count - 1])}
        top_ids, logits, normaliser, entropy, hidden, *rest = self._run(self._names, inputs | self._past)
        every = rest[len(self._past) :]  # not copied: it is onnxruntime's memory, as all that is returned
        self._past = dict(zip(self._past, rest, strict=False))
        self._held = length + count
        step = self._step
        step.ids, step.logits, step.hidden = top_ids[0], logits[0], hidden[0]
        step.log_normaliser = normaliser.item()
        step.entropy = entropy.item()
        step.every = every[0][0] if every else None
        return step


def _width_of_every(session: onnxruntime.InferenceSession) -> int:
    """How many logits a graph gives beside its candidates; 0 where it gives none."""
    return next((int(node.shape[-1]) for node in session.get_outputs() if node.name == _EVERY), 0)


def _value(array: np.ndarray) -> OrtValue:
    """The same memory as onnxruntime sees it; it stays alive as long as the value."""
    return OrtValue.ortvalue_from_numpy(array)
