"""A directory for each architecture, as training writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cloud_target.export.checkpoints import VOCABULARY, build, save


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    """Random checkpoints by architecture; the Llama's vocabulary is padded by 5 rows."""
    root = tmp_path_factory.mktemp("checkpoints")
    models = {"llama": build("llama", VOCABULARY + 5), "qwen2": build("qwen2"), "gpt2": build("gpt2")}
    return {kind: save(model, root / kind) for kind, model in models.items()}
