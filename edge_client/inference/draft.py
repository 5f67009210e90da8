"""The draft model on the device: tokens in, the likeliest next tokens out.

Both kinds of graph stand behind one interface: `length` tokens have been read, `feed` reads more, `rewind` forgets.
What a graph gives is described in `cloud_target/export/candidates.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime import OrtValue

from edge_client.inference.runtime import open_session
from shared.errors import BundleError, ContextLengthError, InputError, first_line
from shared.manifest import DraftGraph, Manifest, Probe

# A long prompt is read in pieces, so that the memory it takes for a moment stays small.
_CHUNK = 128


@dataclass(slots=True)
class Step:
    """What the draft thinks of the next token. The arrays are overwritten by the next `feed`.

    Attributes:
        ids: the likeliest tokens, best first, ``int64 [K]``.
        logits: their raw logits, ``float32 [K]``.
        log_normaliser: log-sum-exp of all raw logits, nats.
        entropy: of the whole distribution at temperature 1, nats.
        hidden: hidden state after the final norm, ``float32 [hidden]``.
    """

    ids: np.ndarray
    logits: np.ndarray
    log_normaliser: float
    entropy: float
    hidden: np.ndarray


class Draft(ABC):
    """A draft and what it has read.

    Attributes:
        length: tokens read, that is in its key-value cache.
        context: longest sequence in tokens.
        vocabulary: number of token ids.
    """

    def __init__(self, vocabulary: int, context: int) -> None:
        self.length = 0
        self.context = context
        self.vocabulary = vocabulary

    def feed(self, ids: Sequence[int]) -> Step:
        """Read further tokens; returns what comes after the last. Either all are read or, on an error, none.

        Raises:
            InputError: no ids, or one outside the vocabulary.
            ContextLengthError: more tokens than the context holds.
        """
        count = len(ids)
        if count == 1:
            if 0 <= ids[0] < self.vocabulary and self.length < self.context:
                return self._read(ids)
        elif count and self.length + count <= self.context and min(ids) >= 0 and max(ids) < self.vocabulary:
            for first in range(0, count, _CHUNK):
                step = self._read(ids[first : first + _CHUNK])
            return step
        raise self._refusal(ids)

    def rewind(self, length: int) -> None:
        """Forget everything from position `length` on.

        Raises:
            InputError: less than `length` tokens have been read.
        """
        if not 0 <= length <= self.length:
            raise InputError(
                f"cannot go back to position {length}: the draft has read {self.length} tokens; give a position that "
                "it has reached"
            )
        self.length = length

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
    """Past and present are the same memory, as long as the context: going back is a smaller integer."""

    def __init__(self, session: onnxruntime.InferenceSession, graph: DraftGraph, vocabulary: int, context: int) -> None:
        super().__init__(vocabulary, context)
        self._run = session.run_with_iobinding
        self._new_binding = session.io_binding
        self._last, self._total = np.zeros(1, np.int32), np.zeros(1, np.int32)
        self._normaliser, self._entropy = np.zeros(1, np.float32), np.zeros(1, np.float32)
        ids, logits = (np.zeros((1, graph.candidates), dtype) for dtype in (np.int64, np.float32))
        hidden = np.zeros((1, graph.hidden), np.float32)
        self._step = Step(ids[0], logits[0], 0.0, 0.0, hidden[0])
        self._inputs = {"last": _value(self._last), "total": _value(self._total)}
        self._outputs = {
            "top_ids": _value(ids),
            "top_logits": _value(logits),
            "log_normaliser": _value(self._normaliser),
            "entropy": _value(self._entropy),
            "hidden": _value(hidden),
        }
        for layer in range(graph.layers):
            for kind in ("key", "value"):
                buffer = _value(np.zeros((1, graph.kv_heads, context, graph.head_size), np.float32))
                self._inputs[f"past.{layer}.{kind}"] = self._outputs[f"present.{layer}.{kind}"] = buffer
        # All memory is bound once for each number of new tokens; a step then only writes three integers.
        self._bindings: dict[int, tuple[np.ndarray, onnxruntime.IOBinding]] = {}

    def _read(self, ids: Sequence[int]) -> Step:
        count = len(ids)
        token_ids, binding = self._bindings.get(count) or self._bind(count)
        token_ids[0] = ids
        total = self.length + count
        self._last[0] = total - 1
        self._total[0] = total
        self._run(binding)
        self.length = total
        step = self._step
        step.log_normaliser = self._normaliser.item()
        step.entropy = self._entropy.item()
        return step

    def _bind(self, count: int) -> tuple[np.ndarray, onnxruntime.IOBinding]:
        token_ids = np.zeros((1, count), np.int64)
        binding = self._new_binding()
        rows = {"ids": _value(token_ids), "rows": _value(np.array([count - 1]))}
        for name, value in (rows | self._inputs).items():
            binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            binding.bind_ortvalue_output(name, value)
        self._bindings[count] = token_ids, binding
        return token_ids, binding


class ConcatDraft(Draft):
    """Each step returns a new, longer cache; going back cuts it."""

    _HEADS = ("top_ids", "top_logits", "log_normaliser", "entropy", "hidden")

    def __init__(self, session: onnxruntime.InferenceSession, graph: DraftGraph, vocabulary: int, context: int) -> None:
        super().__init__(vocabulary, context)
        self._run = session.run
        parts = [f"{layer}.{kind}" for layer in range(graph.layers) for kind in ("key", "value")]
        self._names = [*self._HEADS, *(f"present.{part}" for part in parts)]
        empty = np.zeros((1, graph.kv_heads, 0, graph.head_size), np.float32)
        self._past = {f"past.{part}": empty for part in parts}
        nothing = np.zeros(0, np.float32)
        self._step = Step(nothing, nothing, 0.0, 0.0, nothing)

    def _read(self, ids: Sequence[int]) -> Step:
        count = len(ids)
        # Plain arrays are as fast here as bound memory, for every step makes new caches anyway.
        inputs = {"ids": np.array([ids], np.int64), "rows": np.array([count - 1])}
        top_ids, logits, normaliser, entropy, hidden, *past = self._run(self._names, inputs | self._past)
        self._past = dict(zip(self._past, past, strict=True))
        self.length += count
        step = self._step
        step.ids, step.logits, step.hidden = top_ids[0], logits[0], hidden[0]
        step.log_normaliser = normaliser.item()
        step.entropy = entropy.item()
        return step

    def rewind(self, length: int) -> None:
        super().rewind(length)
        self._past = {name: np.ascontiguousarray(past[:, :, :length]) for name, past in self._past.items()}


_KINDS: dict[str, type[SharedBufferDraft | ConcatDraft]] = {"shared-buffer": SharedBufferDraft, "concat": ConcatDraft}


def draft_maker(bundle: str | Path, manifest: Manifest, threads: int = 1) -> Callable[[], Draft]:
    """Load `draft.onnx` of a bundle, and see that it gives the logits that the manifest expects.

    Returns:
        What makes drafts over the loaded graph, each with an empty cache of its own.

    Raises:
        BundleError: the graph is missing, damaged, of an unknown kind, or not the one the manifest describes.
    """
    path = Path(bundle) / "draft.onnx"
    kind = _KINDS.get(manifest.draft.kind)
    if kind is None:
        raise BundleError(
            f"{path} is a graph of the kind {manifest.draft.kind!r}, and this version knows {', '.join(_KINDS)}; "
            "update Tandem, or make the bundle again"
        )
    session = open_session(path, threads)
    make = partial(kind, session, manifest.draft, manifest.vocabulary, manifest.context)
    try:
        _check_probe(make(), manifest.probe, path)
    except BundleError:
        raise
    except Exception as error:  # onnxruntime's own exceptions have no common base below this
        raise BundleError(
            f"{path} cannot be run as the manifest describes it ({first_line(error)}); make the bundle again"
        ) from error
    return make


def _check_probe(draft: Draft, probe: Probe, path: Path) -> None:
    """Feed the probe, the last token by itself as in decoding, and compare the likeliest tokens."""
    if len(probe.ids) > 1:
        draft.feed(probe.ids[:-1])
    step = draft.feed(probe.ids[-1:])
    given = dict(zip(step.ids.tolist(), step.logits.tolist(), strict=True))
    for token, expected in zip(probe.top_ids, probe.top_logits, strict=True):
        # Written so that NaN does not pass.
        if not abs(given.get(token, np.inf) - expected) <= probe.tolerance:
            found = (
                f"gives token {token} the logit {given[token]:.4f}" if token in given else f"leaves out token {token}"
            )
            raise BundleError(
                f"{path} {found} on the probe prompt, and the manifest expects a logit of {expected:.4f} ± "
                f"{probe.tolerance:.4f}; the graph is damaged or of another model: make the bundle again"
            )


def _value(array: np.ndarray) -> OrtValue:
    """The same memory as onnxruntime sees it; it stays alive as long as the value."""
    return OrtValue.ortvalue_from_numpy(array)
