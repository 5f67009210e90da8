"""An edge with everything behind it made of scripts: the shortest way to test a program that uses Tandem."""

from __future__ import annotations

from typing import Any

from edge_client.edge import Edge
from edge_client.testing.bundle import scripted_bundle
from edge_client.testing.clock import ManualClock
from edge_client.testing.loopback import LoopbackTransport
from edge_client.testing.scripts import Script, blurred, random_script
from edge_client.testing.target import ScriptedTarget
from edge_client.testing.tokenizer import byte_tokenizer


def scripted_edge(target: Script | None = None, draft: Script | None = None, **options: Any) -> Edge:
    """An edge and its target in this process: no model, no file, no port, and nothing remembered. ::

        with scripted_edge(max_tokens=20) as edge:
            assert edge.generate("Once", mode="exact").text == edge.generate("Once", mode="cloud").text

    Args:
        target: what the target thinks; by default nonsense that never changes.
        draft: what the draft thinks; by default nearly the same as the target.
        options: as for `Edge`, to take the place of what is made here.
    """
    target = target or random_script(byte_tokenizer().get_vocab_size())
    bundle = options.pop("bundle", None) or scripted_bundle(draft or blurred(target, 0.5))
    made: dict[str, Any] = {"memory": False, "clock": ManualClock(), "bundle": bundle}
    if "transport" not in options:
        made["transport"] = LoopbackTransport(ScriptedTarget.of(bundle.manifest, target, bundle.tokenizer))
    return Edge(**made | options)
