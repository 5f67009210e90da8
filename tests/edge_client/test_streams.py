"""Streams that are left, dropped or ended by others."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from edge_client.testing import (
    LoopbackTransport,
    ScriptedTarget,
    byte_tokenizer,
    random_script,
    scripted_bundle,
    scripted_edge,
)
from shared.errors import InputError, TargetUnavailable
from tests.edge_client.scripted_device import fake_edge

VOCABULARY = byte_tokenizer().get_vocab_size()
MODES = ("sprint", "exact", "cloud", "local")
PROMPTS = ([0, 270, 280], [0, 290, 300], [0, 265, 310], [0, 330, 262])


# What is given up.


def test_a_stream_that_is_left_early_is_given_up_and_released():
    transport = LoopbackTransport(ScriptedTarget(random_script(VOCABULARY), VOCABULARY))
    with scripted_edge(transport=transport, max_tokens=100, mode="exact") as edge:
        with edge.stream("Tom") as stream:
            assert len(list(islice(stream, 10))) == 10
        assert stream.completion.finish_reason == "cancelled"
        assert stream.completion.usage.tokens == 10
        assert len(transport.released) == 1
        stream.close()
    assert transport.closed


def test_a_stream_that_never_began_leaves_nothing():
    transport = LoopbackTransport(ScriptedTarget(random_script(VOCABULARY), VOCABULARY))
    with scripted_edge(transport=transport) as edge:
        edge.stream("Tom").close()
        assert transport.released == []
        assert transport.service.texts == {}


def test_an_error_in_the_middle_gives_the_models_back():
    class Dead(LoopbackTransport):
        def open(self):
            raise TargetUnavailable("gone")

    target = ScriptedTarget(random_script(VOCABULARY), VOCABULARY)
    with scripted_edge(transport=Dead(target)) as edge:
        for _ in range(3):
            with pytest.raises(TargetUnavailable, match="gone"):
                edge.generate("Tom", mode="cloud")
        assert len(edge.bundle.models._idle) == 1


# Streams that nobody closes.


def test_a_stream_that_is_dropped_ends_at_once_and_holds_nobody_up(tmp_path):
    """Not where the garbage collector happens to run: there it could wait for itself."""
    transport = LoopbackTransport(ScriptedTarget(random_script(VOCABULARY), VOCABULARY))
    gc.disable()
    try:
        with scripted_edge(transport=transport, memory=tmp_path, max_tokens=20) as edge:
            for count in range(1, 6):
                for _ in edge.stream("Tom", seed=count, mode="exact"):
                    break
                assert len(transport.released) == count
            assert len(edge.bundle.models._idle) == 1
    finally:
        gc.enable()


def test_a_stream_that_ends_while_another_is_remembered_waits_for_its_turn(tmp_path):
    """A stream in a cycle of the user's own may end anywhere, even in the middle of writing the memory."""
    with fake_edge(memory=tmp_path, max_tokens=20) as edge:
        left = edge.stream("Tom")
        next(left)
        write = edge._kit.memory()[0]._write
        edge._kit.memory()[0]._write = lambda: (left.close(), write())
        edge.generate("Tom", seed=1)
        edge._kit.memory()[0]._write = write
        (entry,) = edge._kit.memory()[0].entries.values()
        assert entry.texts == 2


def test_another_thread_may_end_a_text():
    began, ended = threading.Event(), threading.Event()

    def waits(step: object, draw: object) -> float:
        began.set()
        assert ended.wait(30)
        return 0.0

    bundle = scripted_bundle(random_script(VOCABULARY), doubt=waits)
    with scripted_edge(bundle=bundle, mode="local", max_tokens=50) as edge, ThreadPoolExecutor(1) as thread:
        stream = edge.stream("Tom")
        reading = thread.submit(list, stream)
        assert began.wait(30)
        stream.close()
        ended.set()
        assert len(reading.result(30)) == 1
        assert stream.completion.finish_reason == "cancelled"


@pytest.mark.parametrize("mode", MODES)
def test_the_figures_so_far_are_those_of_what_was_read(mode):
    with scripted_edge(max_tokens=30, mode=mode, seed=2) as edge, edge.stream("Tom") as stream:
        assert stream.so_far is None
        for count, _ in enumerate(stream, 1):
            figures = stream.so_far
            assert figures is not None
            assert figures.tokens == count <= 30
            assert figures.accepted + figures.confirmed + figures.target == count
        assert stream.so_far is None
        done = stream.completion.usage
        assert (done.tokens, done.calls > 0) == (30, mode != "local")
        assert done.calls >= figures.calls
        assert done.bytes_up >= figures.bytes_up
        assert (done.round_trip_ms is None) == (mode == "local")


def test_a_text_that_has_not_ended_has_no_completion():
    with fake_edge() as edge:
        stream = edge.stream("Tom")
        with pytest.raises(InputError, match="has not ended"):
            _ = stream.completion
        stream.close()
        with pytest.raises(InputError, match="has not ended"):
            stream.finish()
