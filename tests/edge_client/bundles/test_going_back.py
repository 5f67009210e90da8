"""A worse bundle that a target brings: real texts, whose drafts are scripts, until the edge has gone back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_client.bundles.following import FRESH
from edge_client.bundles.standing import Record, Verdict
from edge_client.bundles.store import Store
from edge_client.bundles.trials import Trials
from edge_client.bundles.uses import SetAside
from edge_client.edge import Edge
from edge_client.promise.trial import kind_of
from edge_client.settings import Settings
from edge_client.testing.scripts import blurred
from edge_client.testing.tokenizer import END_IDS
from tests.edge_client.bundles.offers import SCRIPT, contents_of, made, wait_for_errands, wrote
from tests.edge_client.bundles.world import ADDRESS, World

pytestmark = pytest.mark.slow
TOKENS = 64
# Audited tokens after which a draft that is wrong two times of three is taken back, where it was a quarter.
SOON = 2500


def endless(text: Sequence[int]) -> np.ndarray:
    """What the target thinks, but that no text ends by itself: each is a sample."""
    logits = SCRIPT(text)
    logits[list(END_IDS)] = -1e4
    return logits


@pytest.fixture
def world(monkeypatch, tmp_path) -> World:
    """Its target offers the bundle "one", which does well."""
    world = World(monkeypatch, tmp_path)
    good, bad = blurred(endless, 0.1), blurred(endless, 2.5)
    world.drafts = {"one": good, "two": bad, "three": good}
    world.serve(made(tmp_path / "one"))
    world.target.script = endless
    return world


def offer(world: World, directory: Path, name: str, target: str = "scripted") -> str:
    """The target is updated; returns the new bundle's digest."""
    world.target._fingerprint = target
    world.target.offer(made(directory / name, name, target_fingerprint=target))
    world.clock.sleep(FRESH + 1)
    return contents_of(directory / name).digest


def measured(directory: Path, trials: Trials, target: str = "scripted", need: float = 0.25) -> None:
    """As if many texts had been written with "one" already."""
    record = Record(contents_of(directory / "one").digest, target, kind_of(Settings()) or "")
    wrote(trials, record, need, 20, ADDRESS)


def write(edge: Edge, seed: int = 0) -> str:
    """Write a text, and return the name of the bundle that wrote it."""
    edge.generate("Tom", seed=seed, max_tokens=TOKENS)
    name = edge.bundle.manifest.name
    wait_for_errands()
    return name


def texts_of(edge: Edge, name: str) -> int:
    """Write until another bundle than this one does; returns how many texts it wrote."""
    texts = 0
    while write(edge, texts) == name:
        texts += 1
        assert texts * TOKENS <= SOON
    return texts


def set_aside(world: World, directory: Path) -> str:
    """The target offers "two", and some program has gone back from it to "one"; returns the digest of "two"."""
    two = offer(world, directory, "two")
    one = contents_of(directory / "one").digest
    for name in ("one", "two"):
        Store.of_this_user().add(directory / name, lambda: None)
    world.store.uses.set_aside(ADDRESS, SetAside(two, one, 0.6, 0.2))
    return two


def test_a_worse_one_is_taken_back_for_good(world, tmp_path):
    """Measured from the first text on; the next program, the next look at the target, and another offer."""
    with world.edge(memory=True) as edge:
        for seed in range(14):
            assert write(edge, seed) == "one"
        two = offer(world, tmp_path, "two")
        assert write(edge) == "one", "no text waits for it"
        assert texts_of(edge, "two") > 0
        assert edge.bundle.manifest.name == "one"
        assert world.told[-1].startswith("the bundle two needs the target for ")
        assert world.store.uses.read().set_aside[ADDRESS].digest == two
        told = len(world.told)
        world.clock.sleep(FRESH + 1)
        assert write(edge) == "one"
    with world.edge(memory=True) as edge:
        assert write(edge) == "one"
    assert len(world.told) == told
    assert world.used(mode="local") == "one"
    with world.edge(memory=True) as edge:
        write(edge)
        offer(world, tmp_path, "three")
        assert [write(edge), write(edge)] == ["one", "three"]
    assert world.store.uses.read().set_aside == {}


def test_as_good_a_one_is_kept(world, tmp_path):
    measured(tmp_path, Trials.kept(True))
    with world.edge(memory=True) as edge:
        write(edge)
        offer(world, tmp_path, "three")
        write(edge)
        assert {write(edge, seed) for seed in range(20)} == {"three"}
    case = Trials.kept(True).case(ADDRESS)
    assert case.verdict is Verdict.OPEN
    assert case.trial.samples > 10


def test_each_text_a_program_of_its_own(world, tmp_path):
    """As on a command line: the trial goes on from one to the next, and so does what came of it."""
    measured(tmp_path, Trials.kept(True))
    with world.edge(memory=True) as edge:
        assert write(edge) == "one"
    offer(world, tmp_path, "two")
    found = ["two"]
    while found[-1] == "two":
        assert len(found) * TOKENS <= SOON
        with world.edge(memory=True) as edge:
            found.append(write(edge, len(found)))
    with world.edge(memory=True) as edge:
        assert (found[-1], write(edge)) == ("one", "one")
    assert sum("it is set aside" in told for told in world.told) == 1


def test_another_program_that_runs_goes_back_too(world, tmp_path):
    measured(tmp_path, Trials.kept(True))
    with world.edge(memory=True) as first, world.edge(memory=True) as second:
        assert (write(first), write(second)) == ("one", "one")
        offer(world, tmp_path, "two")
        for edge in (first, second):
            write(edge)
            assert write(edge) == "two"
        texts_of(first, "two")
        assert write(second) == "two", "it has not looked yet"
        world.clock.sleep(FRESH + 1)
        assert (write(second), write(first)) == ("one", "one")
    assert sum("it is set aside" in told for told in world.told) == 2, "each says so to its own user"


def test_nothing_is_remembered_where_nothing_may_be(world, tmp_path):
    """Without a memory a program has a trial of its own; what it sets aside is set aside all the same."""
    with world.edge() as edge:
        for seed in range(14):
            write(edge, seed)
        two = offer(world, tmp_path, "two")
        write(edge)
        texts_of(edge, "two")
    assert not (tmp_path / "state").exists()
    assert world.store.uses.read().set_aside[ADDRESS].digest == two


@pytest.mark.parametrize("is_better", [True, False])
def test_with_an_updated_target_the_older_one_is_looked_at_too(world, tmp_path, is_better):
    """Its record is of the target that was; with this one it may do better than the new bundle, or worse."""
    measured(tmp_path, Trials.kept(True), need=0.25 if is_better else 0.02)
    if not is_better:
        world.drafts["two"] = blurred(endless, 1.0)
    with world.edge(memory=True) as edge:
        write(edge)
        if not is_better:
            world.drafts["one"] = blurred(endless, 8.0)  # when it is loaded again
        two = offer(world, tmp_path, "two", "new")
        write(edge)
        texts_of(edge, "two")
        assert world.told[-1].endswith("once more. `edge-client bundle pull` takes it back")
        if is_better:
            assert {write(edge, seed) for seed in range(15)} == {"one"}
        else:
            texts_of(edge, "one")
            assert world.told[-1].endswith("texts are written with that one from here on")
            world.clock.sleep(FRESH + 1)
            assert {write(edge, seed) for seed in range(15)} == {"two"}, "that is the end of it"
    known = world.store.uses.read()
    assert known.favoured == ({} if is_better else {ADDRESS: two})
    assert (ADDRESS in known.set_aside) == is_better


def test_a_target_whose_replicas_disagree_does_not_bring_it_back(world, tmp_path):
    set_aside(world, tmp_path)
    with world.edge(memory=True) as edge:
        for bundle in ("one", "two") * 3:
            world.target.offer(tmp_path / bundle)
            world.clock.sleep(FRESH + 1)
            assert [write(edge), write(edge)] == ["one", "one"]
    assert world.told == []


def test_what_the_user_takes_back_is_used_for_good(world, tmp_path):
    measured(tmp_path, Trials.kept(True))
    two = set_aside(world, tmp_path)
    with world.edge(memory=True) as edge:
        assert write(edge) == "one"
        world.store.uses.favour(ADDRESS, two)
        world.clock.sleep(FRESH + 1)
        write(edge)
        assert {write(edge, seed) for seed in range(15)} == {"two"}


def test_where_the_older_one_was_removed_the_set_aside_one_is_used_again(world, tmp_path):
    set_aside(world, tmp_path)
    world.store.remove(world.store.find(contents_of(tmp_path / "one").digest))
    with world.edge(memory=True) as edge:
        assert write(edge) == "two"


def test_a_target_that_offers_none_any_more_does_not_bring_it_back(world, tmp_path):
    set_aside(world, tmp_path)
    world.target.offer(None)
    with world.edge(memory=True) as edge:
        assert write(edge) == "one"


def test_without_a_memory_each_program_has_a_trial_of_its_own(world, tmp_path):
    """Also the one that comes second, when the address has the new bundle already."""
    one = contents_of(tmp_path / "one").digest
    with world.edge() as first, world.edge() as second:
        both = [(edge, edge._source._probation.trials) for edge in (first, second)]
        for edge, trials in both:
            measured(tmp_path, trials)
            write(edge)
        two = offer(world, tmp_path, "two")
        for edge, trials in both:
            write(edge)
            assert write(edge) == "two"
            assert (trials.case(ADDRESS).digest, trials.case(ADDRESS).before) == (two, one)
