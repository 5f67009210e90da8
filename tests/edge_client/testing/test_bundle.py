"""Texts that are written with nothing but fakes, as the package's own words say."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import edge_client.testing
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.testing import (
    LoopbackTransport,
    ScriptedTarget,
    blurred,
    byte_tokenizer,
    probabilities,
    random_script,
    render_chat,
    replies,
    scripted_bundle,
    scripted_edge,
)
from shared.config import Mode
from shared.tokenizer import StreamDecoder

VOCABULARY = byte_tokenizer().get_vocab_size()


def ids(text: str) -> list[int]:
    return byte_tokenizer().encode(text).ids


def text_of(bundle: Bundle, target: ScriptedTarget, prompt: str, **options) -> str:
    with Edge(transport=LoopbackTransport(target), bundle=bundle, memory=False, **options) as edge:
        return edge.generate(prompt).text


def test_what_is_offered_is_there():
    offered = edge_client.testing.__all__
    assert sorted(offered) == offered
    assert all(hasattr(edge_client.testing, name) for name in offered)


@pytest.mark.slow
def test_it_needs_nothing_of_the_cloud_and_no_port():
    program = "import sys, edge_client.testing; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "edge_client" in run.stdout.split()
    assert not {"cloud_target", "grpc", "torch"} & {*run.stdout.split()}


@pytest.mark.parametrize("mode", [Mode.SPRINT, Mode.EXACT, Mode.CLOUD])
def test_a_target_says_what_it_is_told_to(mode):
    script = replies(VOCABULARY, {(*ids("Tom"),): ids(" and Anna."), (*ids("To"),): ids("day, 你好 😀.")}, end_id=0)
    bundle = scripted_bundle(script)
    target = ScriptedTarget.of(bundle.manifest, script)
    assert text_of(bundle, target, "Tom", mode=mode) == " and Anna."
    assert text_of(bundle, target, "To", mode=mode) == "day, 你好 😀."
    assert text_of(bundle, target, "Nobody", mode=mode) == ""


def test_a_draft_that_always_falls_changes_nothing():
    says = replies(VOCABULARY, {(*ids("Tom"),): ids(" and Anna.")}, end_id=0)
    bundle = scripted_bundle(
        replies(VOCABULARY, {(*ids("Tom"),): ids("!" * 50)}, end_id=0), doubt=lambda step, draw: 1.0
    )
    target = ScriptedTarget.of(bundle.manifest, says)
    assert text_of(bundle, target, "Tom", mode=Mode.SPRINT) == " and Anna."
    assert text_of(bundle, target, "Tom", mode=Mode.EXACT) == " and Anna."


def test_exact_is_cloud_for_a_blurred_draft():
    script = random_script(VOCABULARY)
    bundle = scripted_bundle(blurred(script, 0.5))
    target = ScriptedTarget.of(bundle.manifest, script)
    texts = {text_of(bundle, target, "Tom", mode=mode, max_tokens=40) for mode in (Mode.EXACT, Mode.CLOUD)}
    assert len(texts) == 1


def test_a_blur_of_nothing_is_the_script_itself():
    script = random_script(VOCABULARY, seed=3)
    assert (blurred(script, 0.0)([1, 2]) == script([1, 2])).all()
    assert (blurred(script, 0.5)([1, 2]) != script([1, 2])).all()
    p = probabilities(script)([1, 2])
    assert p.sum() == pytest.approx(1.0)
    assert np.log(p[5] / p[6]) == pytest.approx(float(script([1, 2])[5] - script([1, 2])[6]), abs=1e-5)


def test_every_byte_is_a_token():
    text = "a b\n\x00é你😀"
    assert ids(text) == [5 + byte for byte in text.encode()]
    decoder = StreamDecoder(byte_tokenizer())
    assert "".join(map(decoder.push, ids(text))) + decoder.flush() == byte_tokenizer().decode(ids(text)) == text
    assert byte_tokenizer().decode([5 + byte for byte in range(128)]) == bytes(range(128)).decode()


def test_a_chat_can_be_rendered():
    assert ids(render_chat([{"role": "user", "content": "Hi"}])) == [0, 3, *ids("Hi"), 1, 4]


def test_a_chat_says_what_it_is_told_to():
    turns = [{"role": "user", "content": "A table?"}]
    script = replies(VOCABULARY, {(*ids(render_chat(turns)),): ids("For two?")}, end_id=1)
    with scripted_edge(script) as edge:
        assert edge.chat(turns).text == "For two?"
