"""A text that runs in circles is told of, whoever wrote it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_client.testing import byte_tokenizer, scripted_edge
from edge_client.usage.notes import repetition_note
from tests.edge_client.scripted_device import fake_edge

VOCABULARY = byte_tokenizer().get_vocab_size()
STORE = byte_tokenizer().encode(" store").ids


def circling(text):
    """A model that can only say " store", again and again."""
    logits = np.zeros(VOCABULARY, np.float32)
    text = list(text)
    place = next((i for i in range(len(STORE) - 1, 0, -1) if text[-i:] == STORE[:i]), 0)
    logits[STORE[place]] = 30.0
    return logits


@pytest.mark.parametrize("mode", ["sprint", "exact", "cloud", "local"])
def test_it_is_told_in_every_mode(mode):
    with scripted_edge(circling, circling, max_tokens=60) as edge:
        done = edge.generate("A", mode=mode)
    assert done.text == " store" * 10
    assert done.usage.repeated == 60 - 2 * len(STORE)
    assert done.as_dict()["repeated"] == done.usage.repeated
    (note,) = (warning for warning in done.warnings if "repetition" in warning)
    assert note.startswith(f"{done.usage.repeated} of the 60 tokens only go on with a repetition")


@pytest.mark.parametrize(
    ("repeated", "tokens", "is_told"), [(16, 16, True), (15, 15, False), (16, 64, True), (16, 65, False)]
)
def test_a_refrain_is_no_circle(repeated, tokens, is_told):
    usage = fake_edge().generate([1, 2, 3], max_tokens=9).usage
    assert repetition_note(usage) == []
    counts = replace(usage.audit, shown=tokens)
    assert bool(repetition_note(replace(usage, audit=counts, repeated=repeated))) is is_told
