"""Assisted generation beside the target: its text is the target's own, in fewer passes, and arrives at the reader."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from benchmarks.peers.assisted import ASSISTED
from benchmarks.peers.checkpoint import write_checkpoint
from benchmarks.peers.reference import references
from benchmarks.peers.rows import is_equal
from benchmarks.peers.systems import Pair, Prompt
from benchmarks.prompts import EVERY
from cloud_target.engine.files import POCKET, find_directory
from edge_client.bundles.pocket import POCKET as BUNDLE
from shared.manifest import read_manifest
from shared.tokenizer import encode_prompt, load_tokenizer


@pytest.mark.slow
def test_it_writes_the_targets_own_text_in_fewer_passes(tmp_path) -> None:
    tokenizer: Tokenizer = load_tokenizer(BUNDLE / "tokenizer.json")
    pair = Pair(BUNDLE, find_directory(POCKET), write_checkpoint(BUNDLE, tmp_path), 24, read_manifest(BUNDLE).end_ids)
    prompts = [Prompt(text, encode_prompt(tokenizer, text)) for text in EVERY[:2]]
    with ASSISTED.open(pair, lambda address: address, 600.0) as session:
        for prompt in prompts:
            session.write(prompt)
        written = session.finish()
    for text, own in zip(written, references(pair, prompts), strict=True):
        assert is_equal(text, own, tokenizer.decode)
        assert 0 < text.tokens <= 24
        assert 1 <= text.passes < text.tokens
        assert text.total_ms > 0
