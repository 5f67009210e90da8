"""Engines on tiny checkpoints, each made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from tests.cloud_target.engine.checkpoints import write_checkpoint


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TargetEngine]:
    """An engine by the kind of its model; one test leaves its slots to the next."""

    @cache
    def make(kind: str) -> TargetEngine:
        directory = write_checkpoint(tmp_path_factory.mktemp("checkpoint") / kind, kind)
        return TargetEngine(load_target(str(directory), "cpu"), memory=1 << 20)  # bytes, not a server's gigabyte

    return make
