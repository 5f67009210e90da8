"""Checkpoints that are written belong to whom the user's umask says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from cloud_target.engine.hf.reading import read_model
from cloud_target.engine.hf.saving import save_model
from cloud_target.training.pretrain import save
from tests.cloud_target.distil.conftest import build
from tests.cloud_target.engine.checkpoints import MAKERS, make_tokenizer


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(directory: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
@pytest.mark.parametrize("size", ["1TB", "10KB"])
def test_files_of_a_checkpoint_follow_the_umask(tmp_path: Path, mask: int, mode: int, size: str) -> None:
    model = MAKERS["llama"]()
    with umask(mask):
        save_model(model, tmp_path / "model", max_shard_size=size)
    assert modes(tmp_path / "model") == {mode}
    assert len(list((tmp_path / "model").glob("*.safetensors"))) == 1 or size == "10KB"
    written = read_model(tmp_path / "model", torch.float32, "eager").state_dict()
    assert all(torch.equal(written[name], weight) for name, weight in model.state_dict().items())


def test_trained_models_do_too(tmp_path: Path) -> None:
    with umask(0o022):
        save(build(1), make_tokenizer(), tmp_path)
    assert modes(tmp_path) == {0o644}
