"""A bundle without files: what an edge needs to write, made of scripts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tokenizers import Tokenizer

from edge_client.bundles.bundle import Bundle
from edge_client.inference.draft import Step
from edge_client.inference.pool import ModelPool, Models
from edge_client.testing.models import ScriptedDraft, ScriptedVerifier
from edge_client.testing.scripts import Script, probabilities
from edge_client.testing.target import SCRIPTED
from edge_client.testing.tokenizer import END_IDS, byte_tokenizer
from shared.chat.pocket import POCKET_CHAT
from shared.draw import Draw
from shared.manifest import DraftGraph, Manifest, Probe

_HIDDEN = 8


def confident(step: Step, draw: Draw) -> float:
    """A verifier's function that doubts nothing: the target is called when a window is full, and at the end."""
    return 0.0


def scripted_bundle(
    script: Script,
    doubt: Callable[[Step, Draw], float] = confident,
    tokenizer: Tokenizer | None = None,
    context: int = 512,
    candidates: int = 64,
    **changes: Any,
) -> Bundle:
    """A bundle whose draft follows a script, for a `ScriptedTarget` with the same tokenizer. ::

        bundle = scripted_bundle(blurred(script, 0.5))
        target = ScriptedTarget.of(bundle.manifest, script)

    Args:
        script: what the draft thinks, see `edge_client.testing.scripts`.
        doubt: the verifier's doubt of a drafted token, 0 to 1, from the draft's step and the draw.
        tokenizer: between text and ids, by default `byte_tokenizer`; its tokens 0 and 1 end a text.
        context: longest text in tokens.
        candidates: how many of the likeliest tokens the draft gives.
        changes: of the manifest, see `scripted_manifest`.
    """
    tokenizer = tokenizer or byte_tokenizer()
    vocabulary = tokenizer.get_vocab_size()

    def make() -> Models:
        draft = ScriptedDraft(probabilities(script), vocabulary, context, _HIDDEN, candidates)
        return Models(draft, ScriptedVerifier(doubt))

    manifest = replace(scripted_manifest(vocabulary, context, candidates), **changes)
    return Bundle(manifest, tokenizer, ModelPool(make))


def scripted_manifest(vocabulary: int, context: int = 512, candidates: int = 64) -> Manifest:
    """The manifest of a bundle that was made for a `ScriptedTarget` of so many token ids; it has no calibration."""
    return Manifest(
        name=SCRIPTED,
        target_name=SCRIPTED,
        target_fingerprint=SCRIPTED,
        tokenizer_fingerprint=SCRIPTED,
        vocabulary=vocabulary,
        context=context,
        end_ids=list(END_IDS),
        draft=DraftGraph("concat", 1, 1, 8, _HIDDEN, candidates, "float32"),
        probe=Probe([1], [1], [0.0], 0.1),
        chat=POCKET_CHAT,
    )
