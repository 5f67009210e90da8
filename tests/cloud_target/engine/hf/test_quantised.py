"""Quantised weights: what this transformers would skip is refused, and what it cannot load says what is missing."""

from __future__ import annotations

import pytest
import torch

from cloud_target.engine.hf.reading import read_model
from shared.errors import InputError
from tests.cloud_target.engine.checkpoints import write_checkpoint
from tests.cloud_target.engine.hf.test_configuration import edit


@pytest.mark.parametrize(
    "said",
    [
        {"quantization_config": {"quant_method": "strange", "bits": 8}},
        {"quantization_config": {"bits": 8}},
        {"quantization_config": "int8"},
        {"compression_config": {"quant_method": "compressed-tensors"}},
        {"quantization": {"group_size": 64, "bits": 4}},
    ],
)
def test_a_way_that_nobody_would_obey_is_refused(tmp_path, said):
    edit(write_checkpoint(tmp_path), **said)
    with pytest.raises(InputError, match=f"quantised in a way that transformers .* does not know .{next(iter(said))}"):
        read_model(tmp_path, torch.float32, "eager")


@pytest.mark.parametrize(
    ("said", "package"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "gptqmodel and optimum"),
        ({"quant_method": "quanto", "weights": "int8"}, "optimum-quanto"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes"),
        ({"load_in_4bit": True}, "bitsandbytes"),
    ],
)
def test_a_missing_library_is_named(tmp_path, said, package):
    edit(write_checkpoint(tmp_path), quantization_config=said)
    with pytest.raises(InputError, match=f"are quantised .*which takes {package}.* install what is missing, or take"):
        read_model(tmp_path, torch.float32, "eager")
