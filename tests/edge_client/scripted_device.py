"""A device whose models are a few lines of Python, for tests of what is around the models.

`python -m tests.edge_client.scripted_device ARGUMENTS` is `edge-client` with it; TANDEM_TEST_PAUSE slows its draft down
(seconds a token).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.testing.in_process import InProcessTarget
from edge_client.bundles.bundle import Bundle
from edge_client.cli.main import main
from edge_client.edge import Edge
from edge_client.inference.draft import Step
from edge_client.testing import LoopbackTransport, ManualClock, scripted_bundle, scripted_manifest
from shared.chat.pocket import SPECIAL_TOKENS
from shared.draw import Draw
from shared.interrupts import end_at_once
from shared.manifest import Manifest
from shared.streams import mend_streams

CONTEXT = 512
CANDIDATES = 32
_TEXT = """The little robot went to the big park and saw a girl. She was happy, and she sat in the café 😀.
Then the robot said: 你好 to the girl and the little girl went in. And then the park was big and happy."""


@cache
def tokenizer() -> Tokenizer:
    """A byte-level BPE of some 300 tokens, with the special tokens of the pocket models."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([_TEXT, _TEXT.lower()], trainer)
    made.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL_TOKENS[0]} $A", special_tokens=[(SPECIAL_TOKENS[0], 0)]
    )
    return made


def script(who: str) -> Callable[[Sequence[int]], np.ndarray]:
    """Logits over whole words and half characters; the draft's and the target's are alike, but not the same."""
    vocabulary = tokenizer().get_vocab_size()
    base = np.random.default_rng(0).normal(0.0, 1.0, vocabulary)
    base[261:] += 3.0  # merged tokens, rather than single bytes
    base[: len(SPECIAL_TOKENS)] = -20.0

    def logits(text: Sequence[int]) -> np.ndarray:
        recent = [int(token) for token in text[-2:]]
        shared = np.random.default_rng(recent).normal(0.0, 1.0, vocabulary)
        own = np.random.default_rng([*recent, sum(who.encode())]).normal(0.0, 0.4, vocabulary)
        return (base + shared + own).astype(np.float32)

    return logits


def manifest() -> Manifest:
    return replace(scripted_manifest(tokenizer().get_vocab_size(), CONTEXT, CANDIDATES), name="fake")


def fake_bundle(pause: float = 0.0, **changes: object) -> Bundle:
    """A bundle that writes nonsense; its draft takes `pause` seconds a token. `changes` are of its manifest."""
    logits = script("draft")

    def paced(text: Sequence[int]) -> np.ndarray:
        time.sleep(pause)
        return logits(text)

    # Doubts what the draft thought unlikely.
    def doubt(step: Step, draw: Draw) -> float:
        return 0.05 * (1.0 - float(np.exp(draw.log_q)))

    return scripted_bundle(paced, doubt, tokenizer(), CONTEXT, CANDIDATES, **{"name": "fake"} | changes)


def fake_edge(transport: LoopbackTransport | None = None, **options: object) -> Edge:
    """An edge over the fake bundle that remembers nothing; its target is in this process, unless told otherwise."""
    transport = transport or LoopbackTransport(fake_cloud())
    return Edge(**{"bundle": fake_bundle(), "transport": transport, "clock": ManualClock(), "memory": False} | options)


def fake_cloud() -> InProcessTarget:
    """The target that the fake bundle is made for."""
    size = tokenizer().get_vocab_size()
    return InProcessTarget(lambda: ScriptedEngine(script("target"), size, context=CONTEXT))


if __name__ == "__main__":
    end_at_once()  # as edge_client/__main__.py does, and the next line
    mend_streams()
    Bundle.load = lambda *_: fake_bundle(float(os.environ.get("TANDEM_TEST_PAUSE", "0")))
    sys.exit(main())
