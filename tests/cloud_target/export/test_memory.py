"""What an export takes of memory follows from the checkpoint's size, not from what it would be in float32."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.cloud_target.export.checkpoints import save, tiny_tokenizer

# Bytes that Python and its libraries take, and the float32 graph of the first layers (`draft.WHOLE`) while it runs.
BESIDE = 1.2e9
EXPORT = """\
import resource, sys
from pathlib import Path
from cloud_target.export.draft import export_draft
from cloud_target.export.precision import Asked
given = sys.argv[3:]
export_draft(sys.argv[1], Path(sys.argv[2]), Asked(given[0], *[32, "int8", "int8"][: 3 * len(given[1:])]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A random Llama in bfloat16: 112 MB, 224 in float32."""
    config = LlamaConfig(
        vocab_size=8192,
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=4,
        num_attention_heads=16,
        num_key_value_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    return save(LlamaForCausalLM(config).to(torch.bfloat16), tmp_path_factory.mktemp("large"), tiny_tokenizer(8192))


@pytest.mark.slow
@pytest.mark.parametrize("options", [["float32"], ["int4", "fixed"]], ids=lambda given: given[0])
def test_an_export_takes_little_more_than_the_checkpoint(checkpoint, tmp_path, options):
    size = (checkpoint / "model.safetensors").stat().st_size
    command = [sys.executable, "-c", EXPORT, str(checkpoint), str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert (tmp_path / "draft.onnx").stat().st_size > size / 4
    assert float(done.stdout.split()[-1]) < 1.5 * size + BESIDE
