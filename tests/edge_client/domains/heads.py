"""A device with several verifiers that are functions of the features, on a text that is hard in places.

Where it is hard, the draft is far from the target, and the draft's hidden state says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.inference.draft import Step
from edge_client.inference.pool import ModelPool, Models
from edge_client.testing import (
    LoopbackTransport,
    ManualClock,
    ScriptedDraft,
    ScriptedTarget,
    byte_tokenizer,
    probabilities,
    random_script,
    scripted_manifest,
)
from shared.domains import GENERAL
from shared.draw import Draw
from shared.features import SCALARS, write_features
from shared.manifest import Domain
from tests.edge_client.late import LateTransport

HIDDEN = 8
VOCABULARY = byte_tokenizer().get_vocab_size()
TARGET = random_script(VOCABULARY, spread=3.0)
_NOISE = random_script(VOCABULARY, seed=1, spread=1.0)

# Of a token's features, the doubt.
Doubt = Callable[[np.ndarray], float]


def is_hard(text: Sequence[int]) -> bool:
    return (7 * text[-1] + 13 * text[-2]) % 5 == 0 if len(text) > 1 else False


def draft_script(text: Sequence[int]) -> np.ndarray:
    return TARGET(text) + (3.0 if is_hard(text) else 0.1) * _NOISE(text)


def knowing(row: np.ndarray) -> float:
    """Doubts where it is hard."""
    return 0.5 if row[SCALARS] else 0.004


def blind(row: np.ndarray) -> float:
    """Doubts everything alike, but for a little that says nothing."""
    return 0.08 + 0.02 * float(np.sin(1e3 * row[0]))


def contrary(row: np.ndarray) -> float:
    """Doubts where it is easy."""
    return 0.02 if row[SCALARS] else 0.3


class TellingDraft(ScriptedDraft):
    """Its hidden state begins with whether the next token is hard."""

    def _after(self, text: Sequence[int], step: Step) -> Step:
        found = super()._after(text, step)
        hidden = np.zeros(HIDDEN, np.float32)
        hidden[0] = is_hard(text)
        return replace(found, hidden=hidden)


class ScriptedHead:
    """As a real verifier, with a function in the place of its graph; it counts how it is run."""

    def __init__(self, doubt: Doubt) -> None:
        self._doubt = doubt
        self.features = np.zeros(SCALARS + HIDDEN, np.float32)
        self.scalars = self.features[:SCALARS]
        self.alone = self.runs = self.rows = 0

    def doubt(self, step: Step, draw: Draw, temperature: float, column: int) -> tuple[float, float]:
        write_features(self.features, step.hidden, step.logits, step.log_normaliser, step.entropy, draw, temperature)
        self.alone += 1
        columns = self._columns(self.features)
        return columns[column], columns[1]

    def doubts(self, rows: np.ndarray, temperature: float) -> np.ndarray:
        self.runs += 1
        self.rows += len(rows)
        return np.array([self._columns(row) for row in rows])

    def _columns(self, row: np.ndarray) -> tuple[float, float]:
        found = self._doubt(row)
        return found, found**0.5


class Device:
    """A bundle with these verifiers, the general one first, and an edge with it.

    Attributes:
        heads: that were made, by name, one for each set of models.
    """

    def __init__(self, doubts: dict[str, Doubt], **changes: object) -> None:
        self.heads: list[dict[str, ScriptedHead]] = []
        distribution = probabilities(draft_script)

        def make() -> Models:
            draft = TellingDraft(distribution, VOCABULARY, 1024, HIDDEN)
            heads = {name: ScriptedHead(doubt) for name, doubt in doubts.items()}
            self.heads.append(heads)
            return Models(draft, heads[GENERAL], heads if len(heads) > 1 else {})

        made = replace(scripted_manifest(VOCABULARY, 1024), end_ids=[])
        domains = [Domain(name) for name in doubts if name != GENERAL]
        manifest = replace(made, **{"domains": domains} | changes)
        self.bundle = Bundle(manifest, byte_tokenizer(), ModelPool(make))

    def edge(self, plan: Iterable[bool] = (), **options: object) -> Edge:
        target = ScriptedTarget(TARGET, VOCABULARY, context=1024, tokenizer=byte_tokenizer())
        transport = LateTransport(LoopbackTransport(target), plan)
        usual = {"bundle": self.bundle, "transport": transport, "clock": ManualClock(), "memory": False}
        return Edge(**usual | {"max_tokens": 120, "temperature": 1.0, "top_p": 1.0} | options)
