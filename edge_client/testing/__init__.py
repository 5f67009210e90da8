"""Fakes with which programs that use Tandem can be tested: no model, no port, no waiting; a text takes milliseconds.

A model is a script, a function from the token ids of a text to the logits of the next token. `random_script` makes
nonsense that never changes, `blurred` a draft for a target, and `replies` says what it is told to::

    script = random_script(vocabulary=261)
    bundle = scripted_bundle(blurred(script, 0.5))             # a tokenizer, a draft and a verifier
    target = ScriptedTarget.of(bundle.manifest, script)       # answers as a real target does, by the same contract
    edge = edge_client.Edge(transport=LoopbackTransport(target), bundle=bundle, memory=False)

`scripted_edge` is all of that in one call.
What a network can do to a program, `LossyTransport` does on demand, on a `ManualClock`. A target of one's own is any
object with the methods of `Service`.
"""

from __future__ import annotations

from edge_client.testing.bundle import confident, scripted_bundle, scripted_manifest
from edge_client.testing.clock import ManualClock
from edge_client.testing.edge import scripted_edge
from edge_client.testing.loopback import LoopbackLink, LoopbackTransport, Service, ServiceStream
from edge_client.testing.lossy import LossyTransport, MortalService, Trouble
from edge_client.testing.models import ScriptedDraft, ScriptedVerifier
from edge_client.testing.scripts import Script, blurred, probabilities, random_script, replies
from edge_client.testing.target import ScriptedTarget
from edge_client.testing.tokenizer import byte_tokenizer, render_chat

__all__ = [
    "LoopbackLink",
    "LoopbackTransport",
    "LossyTransport",
    "ManualClock",
    "MortalService",
    "Script",
    "ScriptedDraft",
    "ScriptedTarget",
    "ScriptedVerifier",
    "Service",
    "ServiceStream",
    "Trouble",
    "blurred",
    "byte_tokenizer",
    "confident",
    "probabilities",
    "random_script",
    "render_chat",
    "replies",
    "scripted_bundle",
    "scripted_edge",
    "scripted_manifest",
]
