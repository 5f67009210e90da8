"""AutoDraft's models as it is given them, its absence, and the thing itself where it is installed."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from benchmarks.peers.autodraft import AUTODRAFT, _with_plain_template
from benchmarks.peers.checkpoint import write_checkpoint
from benchmarks.peers.systems import Pair, Prompt
from benchmarks.prompts import EVERY
from cloud_target.engine.files import POCKET, find_directory
from edge_client.bundles.pocket import POCKET as BUNDLE
from shared.errors import InputError
from shared.manifest import read_manifest


@pytest.mark.slow
@pytest.mark.parametrize("text", [EVERY[0], EVERY[1], " spaces \n", "<|user|>hi<|end|>"])
def test_a_prompt_is_the_same_as_for_everybody(tmp_path, text) -> None:
    source = find_directory(POCKET)
    target = _with_plain_template(source, tmp_path / "target")
    tokenizer, plain = AutoTokenizer.from_pretrained(target), AutoTokenizer.from_pretrained(source)
    said = tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False)
    assert tokenizer(said).input_ids == plain(text).input_ids
    assert (target / "model.safetensors").samefile(source / "model.safetensors")


def test_a_target_that_it_does_not_know_is_a_sentence(tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(InputError, match="type llama only, and this one is gpt2"):
        _with_plain_template(tmp_path, tmp_path / "target")


@pytest.mark.slow
@pytest.mark.skipif(not AUTODRAFT.is_installed, reason=AUTODRAFT.install)
def test_the_real_thing_writes_and_tells_how_long_it_took(tmp_path) -> None:
    draft = write_checkpoint(BUNDLE, tmp_path)
    pair = Pair(BUNDLE, find_directory(POCKET), draft, 8, read_manifest(BUNDLE).end_ids)
    with AUTODRAFT.open(pair, lambda address: address, 600.0) as session:
        for text in EVERY[:2]:
            session.write(Prompt(text, []))
        written = session.finish()
    assert len(written) == 2
    for one in written:
        assert one.text
        assert one.tokens >= 8
        assert 1 < one.passes <= one.tokens + 1
        assert one.total_ms > 0
