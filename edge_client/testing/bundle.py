"""A bundle without files: what an edge needs to write, made of scripts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from edge_client.inference.draft import Step
from edge_client.testing.models import ScriptedDraft, ScriptedVerifier
from edge_client.testing.scripts import Script, probabilities
from edge_client.testing.target import SCRIPTED
from edge_client.testing.tokenizer import END_IDS, byte_tokenizer
from shared.bundle import DraftGraph, Manifest, Probe
from shared.sampling import Draw

_HIDDEN = 8


def confident(step: Step, draw: Draw) -> float:
    """A verifier's function that doubts nothing: the target is called when a window is full, and at the end."""
    return 0.0


@dataclass(frozen=True)
class ScriptedBundle:
    """A bundle whose draft follows a script, for a `ScriptedTarget` with the same tokenizer. ::

        bundle = ScriptedBundle(blurred(script, 0.5))
        target = ScriptedTarget.of(bundle.manifest, script)

    Attributes:
        script: what the draft thinks, see `edge_client.testing.scripts`.
        doubt: the verifier's doubt of a drafted token, 0 to 1, from the draft's step and the draw.
        tokenizer: between text and ids; its tokens 0 and 1 end a text.
        context: longest text in tokens.
        candidates: how many of the likeliest tokens the draft gives.
    """

    script: Script
    doubt: Callable[[Step, Draw], float] = confident
    tokenizer: Tokenizer = field(default_factory=byte_tokenizer)
    context: int = 512
    candidates: int = 64

    @property
    def manifest(self) -> Manifest:
        """Whom it was made for; without a calibration."""
        return scripted_manifest(self.tokenizer.get_vocab_size(), self.context, self.candidates)

    def make_draft(self) -> ScriptedDraft:
        """A draft that has read nothing; one for each text that is written at a time."""
        vocabulary = self.tokenizer.get_vocab_size()
        return ScriptedDraft(probabilities(self.script), vocabulary, self.context, _HIDDEN, self.candidates)

    def make_verifier(self) -> ScriptedVerifier:
        """A verifier, for one draft."""
        return ScriptedVerifier(self.doubt)


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
    )
