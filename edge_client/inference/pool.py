"""Models for several texts at once: the weights are loaded once, and each text has its own cache."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge_client.inference.draft import Draft
from edge_client.inference.draft_loading import draft_maker
from edge_client.inference.verifier import Head, SeveralAtOnce, Verifier
from edge_client.settings import SHORTEST_KEPT
from shared.domains import GENERAL
from shared.manifest import Manifest
from shared.prefix_hash import common


@dataclass(frozen=True)
class Models:
    """A draft and a verifier for one text at a time.

    Attributes:
        verifiers: all that the bundle has, by name, where it has several.
    """

    draft: Draft
    verifier: Head
    verifiers: Mapping[str, SeveralAtOnce] = field(default_factory=dict)


class ModelPool:
    """Lends models to texts; of those given back, the last one is lent first, for its memory is still warm.

    Args:
        make: makes a draft, with an empty cache, and verifiers over weights that are loaded already.
    """

    def __init__(self, make: Callable[[], Models]) -> None:
        self._make = make
        self._idle: list[Models] = []
        self._lock = threading.RLock()

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, threads: int = 1) -> ModelPool:
        """Load the graphs of a bundle, and see that they are what the manifest says.

        Raises:
            BundleError: missing, damaged, or giving other logits than they should.
        """
        make_draft = draft_maker(bundle, manifest, threads)

        def maker(name: str) -> Callable[[], Verifier]:
            ways = manifest.seen_by(name).doubts
            hottest = max((way.temperature for way in ways), default=math.inf)
            return Verifier.maker(bundle, manifest.draft.hidden, threads, hottest, name)

        makers = {name: maker(name) for name in manifest.verifiers}

        def make() -> Models:
            verifiers = {name: make_verifier() for name, make_verifier in makers.items()}
            return Models(make_draft(), verifiers[GENERAL], verifiers if len(verifiers) > 1 else {})

        return cls(make)

    @contextmanager
    def lend(self, prompt: Sequence[int] = (), texts: int = 0) -> Iterator[Models]:
        """Models that nobody else uses while the block lasts.

        Args:
            prompt: the cache may hold what the prompt begins with; else it is empty.
            texts: of so many texts the cache is kept after their end, for prompts that go on from one.
        """
        with self._lock:
            models, read = self._fitting(prompt, texts) if texts else (self._idle.pop() if self._idle else None, 0)
        models = models or self._make()
        models.draft.rewind(read)
        try:
            yield models
        finally:
            with self._lock:
                self._idle.append(models)

    def _fitting(self, prompt: Sequence[int], texts: int) -> tuple[Models | None, int]:
        """Idle models that have read most of a prompt, and how much; if none has, those idle for longest, or none."""
        read = [common(models.draft.ids, prompt) for models in self._idle]
        most = max(read, default=0)
        if most >= SHORTEST_KEPT:
            return self._idle.pop(read.index(most)), most
        return (self._idle.pop(0) if len(self._idle) >= texts else None), 0
