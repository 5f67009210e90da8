"""How much memory a cache may have: no more than there is, whoever asks, and at most half of that where nobody does."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.engine.hf.capacity import MEMORY, check_memory, usual_memory
from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from shared.errors import InputError
from tests.cloud_target.engine.checkpoints import write_checkpoint

CPU = torch.device("cpu")


@given(wanted=st.integers(1, 1 << 45), free=st.integers(0, 1 << 45))
def test_more_than_there_is_is_refused(wanted, free):
    if wanted > free:
        with pytest.raises(InputError, match=r"--kv-memory asks for .*, and only .* free on this machine; give less"):
            check_memory(wanted, CPU, free)
    else:
        check_memory(wanted, CPU, free)


@given(free=st.none() | st.integers(0, 1 << 45))
def test_what_nobody_asked_for_is_there(free):
    memory = usual_memory(CPU, free)
    assert memory <= MEMORY
    assert free is None or memory <= free / 2
    assert memory == MEMORY or (free is not None and free < 2 * MEMORY)


def test_an_engine_is_refused_it_in_the_same_words(tmp_path):
    """Also where the memory went to the weights meanwhile."""
    target = load_target(str(write_checkpoint(tmp_path / "llama", "llama")), "cpu")
    with pytest.raises(InputError, match="are free on this machine; give less"):
        TargetEngine(target, memory=1 << 60)


def test_where_nobody_knows_what_is_free_all_is_tried():
    check_memory(1 << 60, CPU, None)
