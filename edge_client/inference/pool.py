"""Models for several texts at once: the weights are loaded once, and each text has its own cache."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_client.inference.draft import Draft, draft_maker
from edge_client.inference.verifier import Head, Verifier
from shared.manifest import Manifest


@dataclass(frozen=True)
class Models:
    """A draft and a verifier for one text at a time."""

    draft: Draft
    verifier: Head


class ModelPool:
    """Lends models to texts; of those given back, the last one is lent first, for its memory is still warm.

    Args:
        make: makes a draft, with an empty cache, and a verifier over weights that are loaded already.
    """

    def __init__(self, make: Callable[[], Models]) -> None:
        self._make = make
        self._idle: list[Models] = []
        self._lock = threading.RLock()

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, threads: int = 1) -> ModelPool:
        """Load the two graphs of a bundle, and see that they are what the manifest says.

        Raises:
            BundleError: missing, damaged, or giving other logits than they should.
        """
        make_draft = draft_maker(bundle, manifest, threads)
        hottest = max((way.temperature for way in manifest.doubts), default=math.inf)
        make_verifier = Verifier.maker(bundle, manifest.draft.hidden, threads, hottest)
        return cls(lambda: Models(make_draft(), make_verifier()))

    @contextmanager
    def lend(self) -> Iterator[Models]:
        """Models that nobody else uses while the block lasts, with an empty cache."""
        with self._lock:
            models = self._idle.pop() if self._idle else None
        models = models or self._make()
        models.draft.rewind(0)
        try:
            yield models
        finally:
            with self._lock:
                self._idle.append(models)
