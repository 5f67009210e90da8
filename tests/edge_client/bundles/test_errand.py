"""Bundles that are brought beside texts: nobody waits for them, nothing of them is lost, and their end is clean."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.bundles.bundle import Bundle
from edge_client.bundles.errand import BETWEEN, FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, Errand, Failures, now_and_then
from edge_client.bundles.following import FRESH
from edge_client.bundles.writing import PARTIAL
from edge_client.edge import Edge
from edge_client.testing import ManualClock, scripted_bundle
from shared.contents import BundleFile, Contents
from shared.errors import LinkBroken, TargetUnavailable
from tests.edge_client.bundles.offers import SCRIPT, contents_of, made, tidy, wait_for_errands
from tests.edge_client.bundles.world import ADDRESS, World


@pytest.fixture
def world(monkeypatch, tmp_path) -> World:
    world = World(monkeypatch, tmp_path)
    world.serve(made(tmp_path / "one"))
    return world


@contextmanager
def mostly(world: World, tmp_path, name: str = "two") -> Iterator[tuple[Edge, threading.Event]]:
    """A device of which a thread has fetched most of a new bundle, and waits for the rest until the event is set."""
    came, rest = threading.Event(), threading.Event()
    fetch_at_once = world.transport.fetch

    def slowly(*asked):
        for chunk in fetch_at_once(*asked):
            yield chunk
            if world.transport.sent - before >= contents_of(tmp_path / name).size * 9 // 10:
                came.set()
                assert rest.wait(30)
                if world.is_away:
                    raise LinkBroken("the transport was closed")

    with world.edge() as edge:
        edge.generate("Tom")
        world.target.offer(made(tmp_path / name, name))
        world.clock.sleep(FRESH + 1)
        before = world.transport.sent
        world.transport.fetch = slowly
        edge.generate("Tom")
        assert came.wait(30)
        try:
            yield edge, rest
        finally:
            world.transport.fetch = fetch_at_once
            rest.set()


def test_texts_do_not_wait_and_the_first_one_after_it_has_the_new_one(world, tmp_path):
    with mostly(world, tmp_path) as (edge, rest):
        for _ in range(3):
            world.clock.sleep(FRESH + 1)
            assert edge.generate("Tom").usage.tokens == 5
            assert edge.bundle.manifest.name == "one"
        assert len(world.told) == 1
        rest.set()
        wait_for_errands()
        assert edge.bundle.manifest.name == "one"
        edge.generate("Tom")  # though the target was asked just now
        assert edge.bundle.manifest.name == "two"
    assert world.transport.sent == contents_of(tmp_path / "one").size + contents_of(tmp_path / "two").size


def test_whoever_closes_the_edge_ends_it_and_the_next_one_goes_on(world, tmp_path):
    with mostly(world, tmp_path) as (edge, rest):
        world.is_away = True
        threading.Timer(0.05, rest.set).start()
        edge.close()
        wait_for_errands()
        digest = contents_of(tmp_path / "two").digest
        assert sorted(tidy(world.store.place)) == sorted([f"{PARTIAL}{digest}", contents_of(tmp_path / "one").digest])
        edge.close()
    world.is_away = False
    assert world.used() == "two"
    assert world.transport.sent == contents_of(tmp_path / "one").size + contents_of(tmp_path / "two").size
    assert len(world.told) == 1, "of its end nobody need be told"


def test_one_that_is_offered_no_more_is_not_brought_any_further(world, tmp_path):
    with mostly(world, tmp_path) as (edge, rest):
        world.target.offer(made(tmp_path / "three", "three"))
        world.clock.sleep(FRESH + 1)
        edge.generate("Tom")
        rest.set()
        wait_for_errands()
        edge.generate("Tom")
        assert edge.bundle.manifest.name == "three"
    assert contents_of(tmp_path / "two").digest not in tidy(world.store.place)


def test_a_target_that_takes_its_new_bundle_back(world, tmp_path):
    with mostly(world, tmp_path) as (edge, rest):
        world.target.offer(tmp_path / "one")
        world.clock.sleep(FRESH + 1)
        edge.generate("Tom")
        rest.set()
        wait_for_errands()
        for _ in range(3):
            edge.generate("Tom")
            assert edge.bundle.manifest.name == "one"


def test_a_bundle_that_cannot_be_loaded_harms_no_text(world, tmp_path, monkeypatch):
    with world.edge() as edge:
        edge.generate("Tom")

        def fail(*_: object) -> Bundle:
            raise RuntimeError("the graph is odd")

        monkeypatch.setattr(Bundle, "load", fail)
        world.target.offer(made(tmp_path / "two", "two"))
        for _ in range(4):
            world.clock.sleep(FRESH + 1)
            assert edge.generate("Tom").usage.tokens == 5
            wait_for_errands()
    assert world.told[1:] == [
        f"the bundle that {ADDRESS} offers is not used: the bundle two cannot be loaded: "
        "RuntimeError('the graph is odd'); one is used instead"
    ]


def test_where_the_present_one_is_of_no_use_the_new_one_is_waited_for(world, tmp_path):
    with world.edge() as edge:
        edge.generate("Tom")
        world.target.offer(made(tmp_path / "two", "two", tokenizer_fingerprint="other"))
        world.target._tokenizer_fingerprint = "other"
        world.clock.sleep(FRESH + 1)
        assert edge.generate("Tom").usage.tokens == 5
        assert edge.bundle.manifest.name == "two"


def test_it_is_what_was_brought_or_why_not():
    bundle = scripted_bundle(SCRIPT)
    done = Errand("d", lambda see: bundle)
    done.wait()
    assert (done.is_over, done.bundle, done.error) == (True, bundle, None)
    failed = Errand("d", lambda see: (_ for _ in ()).throw(TargetUnavailable("gone")))
    failed.wait()
    assert (failed.is_over, failed.bundle, str(failed.error)) == (True, None, "gone")


def test_it_ends_at_the_next_look():
    began = threading.Event()

    def bring(see) -> Bundle:
        began.set()
        while True:
            see()

    errand = Errand("d", bring)
    assert began.wait(30)
    assert not errand.is_over
    errand.end()
    errand.wait(30)
    assert errand.is_over
    assert errand.bundle is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 2 * LONGEST_PAUSE)), max_size=30))
def test_failures_are_told_once_and_tried_later_and_later(attempts):
    clock = ManualClock()
    failures, last, pause, count = Failures(clock.now), "", 0.0, 0
    for digest, waited in attempts:
        assert failures.is_due(digest) == (digest != last or clock.now() >= pause)
        assert failures.is_first(digest) == (digest != last)
        if not failures.is_due(digest):
            clock.sleep(waited)
            continue
        count = count + 1 if digest == last else 0
        assert failures.add(digest) == (digest != last)
        last, pause = digest, clock.now() + min(FIRST_PAUSE * 2**count, LONGEST_PAUSE)


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 99)), max_size=50))
def test_how_far_it_has_come_is_told_seldom(steps):
    clock, told = ManualClock(), []
    contents = Contents("two", (BundleFile("draft.onnx", 100, ""),))
    progress = now_and_then(lambda sentence: told.append((clock.now(), sentence)), clock.now)
    for waited, done in steps:
        clock.sleep(waited)
        progress(contents, done)
    times = [time for time, _ in told]
    assert all(time >= PATIENCE for time in times)
    assert all(later - earlier >= BETWEEN for earlier, later in pairwise(times))
    assert len(told) >= (clock.now() - PATIENCE) // (BETWEEN + 20)
    assert all("of the 100 B of the bundle two have come" in sentence for _, sentence in told)
