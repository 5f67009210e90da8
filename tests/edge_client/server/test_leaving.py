"""Whoever leaves in the middle of a stream: the target writes no further than the message that is under way."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

import numpy as np
import pytest

from edge_client.server.writing import Writing
from edge_client.testing import LoopbackTransport, ScriptedTarget, blurred, random_script, scripted_bundle
from edge_client.testing.edge import scripted_edge
from edge_client.testing.loopback import LoopbackLink
from edge_client.testing.tokenizer import byte_tokenizer
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.server.serving import served

SCRIPT = random_script(byte_tokenizer().get_vocab_size())
PROMPT = "Once upon a time"
PATIENCE = 30.0  # seconds: for a test that fails


class Counted(LoopbackTransport):
    """Counts what its links carry both ways."""

    messages = 0

    def open(self) -> LoopbackLink:
        return CountedLink(self)


class CountedLink(LoopbackLink):
    def __init__(self, transport: Counted) -> None:
        super().__init__(transport.service)
        self._transport = transport

    def send(self, request: wire.DecodeRequest) -> None:
        self._transport.messages += 1
        super().send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        answer = super().receive(timeout)
        self._transport.messages += 1
        return answer


@pytest.mark.parametrize("kind", ["completions", "chat"])
@pytest.mark.parametrize("mode", ["cloud", "exact", "sprint", "auto"])
def test_the_session_is_freed_within_one_message(mode, kind, monkeypatch):
    """The target stops in the middle of a text until the server has noticed that nobody reads it any more."""
    is_there, has_left = Event(), Event()

    def stopping(text: Sequence[int]) -> np.ndarray:
        if len(text) > 80 and not has_left.is_set():
            is_there.set()
            assert has_left.wait(PATIENCE), "the server did not notice"
        return SCRIPT(text)

    give_up = Writing.give_up
    monkeypatch.setattr(Writing, "give_up", lambda writing: (give_up(writing), has_left.set()))
    bundle = scripted_bundle(blurred(SCRIPT, 0.5), lambda *_: 1.0)
    transport = Counted(ScriptedTarget.of(bundle.manifest, stopping))
    with scripted_edge(bundle=bundle, transport=transport, temperature=1.0) as edge, served(edge, texts=1) as client:
        resource = client.completions if kind == "completions" else client.chat.completions
        said = {"prompt": PROMPT} if kind == "completions" else {"messages": [{"role": "user", "content": PROMPT}]}
        with resource.create(model=f"scripted:{mode}", max_tokens=400, stream=True, seed=1, **said) as stream:
            next(iter(stream))
            assert is_there.wait(PATIENCE)
            before = transport.messages
            assert transport.service.texts
        client.wait_until_idle()
    assert transport.messages - before <= 1
    assert len(transport.released) == 1
    assert transport.service.texts == {}
