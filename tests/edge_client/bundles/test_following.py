"""The bundle that comes with the target: fetched once, found again, changed between two texts, never in the way."""

from __future__ import annotations

import socket

import pytest

from edge_client.bundles import following
from edge_client.bundles.errand import LONGEST_PAUSE
from edge_client.bundles.fetching import LARGEST
from edge_client.bundles.following import FRESH
from edge_client.bundles.store import Store
from edge_client.edge import Edge
from edge_client.settings import LOCAL_ONLY
from shared.contents import Contents
from shared.errors import BundleError, InputError, LinkBroken, ProtocolError, TargetAway, TargetMismatch, TargetRefused
from tests.edge_client.bundles.offers import (
    contents_of,
    loaded,
    made,
    tidy,
    wait_for_errands,
)
from tests.edge_client.bundles.world import ADDRESS, World


@pytest.fixture
def world(monkeypatch, tmp_path) -> World:
    return World(monkeypatch, tmp_path)


def test_it_is_fetched_once_and_found_again_without_a_byte(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    assert world.used() == "one"
    sent = world.transport.sent
    assert sent == contents_of(tmp_path / "one").size
    assert world.used() == world.used() == "one"
    assert world.transport.sent == sent
    assert world.told == []
    (kept,) = world.store.kept()
    assert kept.addresses == (ADDRESS,)


def test_nothing_is_asked_before_the_first_text(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    with world.edge():
        pass
    assert (world.connects, world.loads) == (0, [])


def test_a_target_that_offers_nothing_gets_the_embedded_bundle_or_the_old_error(world):
    with world.edge() as edge, pytest.raises(TargetMismatch, match=r"another tokenizer .* than the bundle pocket"):
        edge.generate("Tom")
    assert tidy(world.store.place) == []


def test_the_offered_bundle_may_be_the_embedded_one(world, monkeypatch, tmp_path):
    embedded = made(tmp_path / "embedded", "embedded")
    monkeypatch.setattr(following, "POCKET", embedded)
    world.serve(embedded)
    assert world.used() == "embedded"
    assert world.transport.calls == []
    assert tidy(world.store.place) == []


def test_one_that_was_added_for_the_target_is_used_where_none_is_offered(world, tmp_path):
    world.store.add(made(tmp_path / "mine", "mine"), lambda: None)
    assert world.used() == "mine"
    world.serve(None, fingerprint="another")
    with world.edge() as edge, pytest.raises(TargetMismatch):
        edge.generate("Tom")


def test_alone_the_last_one_of_the_address_is_used_and_no_socket_is_opened(world, tmp_path, monkeypatch):
    world.serve(made(tmp_path / "one"))
    assert world.used(mode="local") == "pocket"
    world.used()
    connects, world.is_away = world.connects, True

    def forbidden(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", forbidden)
    assert world.used(mode="local") == "one"
    with Edge("other.example:1", memory=False, mode="local") as edge:
        assert edge.bundle.manifest.name == "pocket"
    monkeypatch.setenv(LOCAL_ONLY, "1")
    assert world.used() == "one"
    with world.edge(mode="sprint") as edge, pytest.raises(InputError, match="nothing may leave"):
        _ = edge.bundle
    assert world.connects == connects


def test_where_the_target_is_away_texts_are_written_with_the_last_one(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    world.used()
    world.is_away = True
    with world.edge() as edge:
        done = edge.generate("Tom")
        assert (edge.bundle.manifest.name, done.usage.alone) == ("one", 5)
        assert world.told == ["the target is away: the draft writes this text alone"]
        with pytest.raises(TargetAway):
            edge.generate("Tom", on_outage="fail")
        with pytest.raises(TargetAway):
            edge.generate("Tom", mode="exact")
        assert edge.generate("Tom", mode="local").usage.tokens == 5
    with world.edge() as edge:
        assert edge.bundle.manifest.name == "one"


def test_a_target_that_comes_back_brings_its_bundle(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    world.is_away = True
    with world.edge() as edge:
        edge.generate("Tom")
        assert edge.bundle.manifest.name == "pocket"
        world.is_away = False
        assert edge.generate("Tom").usage.alone == 0
        assert edge.bundle.manifest.name == "one"


def test_a_damaged_one_is_fetched_again(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    world.used()
    (kept,) = world.store.kept()
    for damaged in ("draft.onnx", "manifest.json"):
        path = kept.directory / damaged
        path.write_bytes(path.read_bytes() + b" ")
        assert world.used() == "one"
        assert "it is fetched again" in world.told.pop()
        world.store.verify(kept.directory)


def test_a_damaged_one_is_no_obstacle_alone(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    world.used()
    (kept,) = world.store.kept()
    (kept.directory / "draft.onnx").unlink()
    assert world.used(mode="local") == "pocket"
    assert "the embedded bundle is used" in world.told[0]


def test_an_updated_target_is_noticed_between_two_texts(world, tmp_path):
    one = made(tmp_path / "one")
    world.serve(one)
    with world.edge() as edge:
        edge.generate("Tom")
        world.target.offer(made(tmp_path / "two", "two", target_fingerprint="new"))
        edge.generate("Tom")
        assert edge.bundle.manifest.name == "one"  # what it said a moment ago is believed
        world.target._fingerprint = "new"
        world.clock.sleep(FRESH + 1)
        edge.generate("Tom", mode="local")
        assert edge.bundle.manifest.name == "one"
        done = edge.generate("Tom")  # which does not wait for the new one
        assert edge.bundle.manifest.name == "one"
        assert any("this target is scripted (new)" in warning for warning in done.warnings)
        wait_for_errands()
        done = edge.generate("Tom")
        assert edge.bundle.manifest.name == "two"
        assert not any("this target is" in warning for warning in done.warnings)
        told = [
            f"the target at {ADDRESS} offers another bundle, two (4.808 KiB): it is fetched while texts go on with one",
            f"the target at {ADDRESS} is scripted (new) now; texts are written with the bundle two from here on",
        ]
        assert world.told == told
        world.clock.sleep(FRESH + 1)
        edge.generate("Tom")
        assert world.told == told
    assert len(world.store.kept()) == 2


def test_a_replaced_target_is_noticed_at_once_where_it_refuses_what_means_the_other(world, tmp_path):
    """What it said a moment ago is believed, until a text shows that it is not so."""
    world.serve(made(tmp_path / "one"))
    with world.edge(mode="cloud") as edge:
        edge.generate("Tom")
        world.target.offer(made(tmp_path / "two", "two", target_fingerprint="new"))
        world.target._fingerprint = "new"
        assert edge.generate("Tom").usage.tokens == 5
        assert edge.bundle.manifest.name == "one"
        edge.generate("Tom")
        wait_for_errands()
        edge.generate("Tom")
        assert edge.bundle.manifest.name == "two"
    assert world.told == [
        f"the target at {ADDRESS} is scripted (new) now, and no longer scripted (scripted); it writes this text",
        f"the target at {ADDRESS} offers another bundle, two (4.808 KiB): it is fetched while texts go on with one",
        f"the target at {ADDRESS} is scripted (new) now; texts are written with the bundle two from here on",
    ]


def test_another_target_without_another_bundle_is_told_of_too(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    with world.edge(mode="cloud") as edge:
        edge.generate("Tom")
        world.target._fingerprint = "new"
        world.clock.sleep(FRESH + 1)
        for _ in range(2):
            assert edge.generate("Tom").usage.tokens == 5
    assert world.told == [f"the target at {ADDRESS} is scripted (new) now, and no longer scripted (scripted)"]


@pytest.mark.parametrize("name", ["two", None])
def test_a_target_that_is_updated_while_its_bundle_is_fetched(world, tmp_path, name):
    """It is asked once more what it offers now."""
    world.serve(made(tmp_path / "one"))
    world.store.add(made(tmp_path / "mine", "mine"), lambda: None)
    newer = made(tmp_path / name, name) if name else None
    fetch_at_once = world.transport.fetch

    def update_first(*asked):
        world.target.offer(newer)
        world.transport.fetch = fetch_at_once
        return fetch_at_once(*asked)

    world.transport.fetch = update_first
    assert world.used() == (name or "mine")
    assert world.told == []


def test_a_target_that_refuses_for_good_is_not_asked_for_ever(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    calls = []

    def refuse(*asked):
        calls.append(asked)
        raise TargetRefused("the target refused the request")

    world.transport.fetch = refuse
    with world.edge() as edge, pytest.raises(TargetRefused):
        edge.generate("Tom")
    assert len(calls) == 2


def test_after_trouble_with_the_link_the_target_is_asked_at_once(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    with world.edge() as edge:
        edge.generate("Tom")
        with edge.stream("Tom", mode="cloud", max_tokens=20) as stream:
            next(stream)
            world.target.restart()
            world.target.offer(made(tmp_path / "two", "two"))
            stream.finish()
        assert stream.completion.usage.reconnects == 1
        edge.generate("Tom")
        wait_for_errands()
        edge.generate("Tom")
        assert edge.bundle.manifest.name == "two"


def test_while_it_is_asked_again_a_target_may_be_away(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    with world.edge() as edge:
        edge.generate("Tom")
        world.clock.sleep(FRESH + 1)
        describe = world.transport.describe
        world.transport.describe = lambda _: (_ for _ in ()).throw(LinkBroken("gone"))
        edge.generate("Tom")
        world.transport.describe = describe
        assert edge.bundle.manifest.name == "one"


def test_ids_of_an_earlier_tokenizer_are_refused(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    with world.edge() as edge:
        ids = edge.bundle.encode("Tom")
        edge.generate(ids)
        world.target.offer(made(tmp_path / "two", "two", tokenizer_fingerprint="other"))
        world.target._tokenizer_fingerprint = "other"
        world.clock.sleep(FRESH + 1)
        with pytest.raises(InputError, match="came the bundle two; encode the prompt again"):
            edge.generate(ids)
        assert edge.generate("Tom").usage.tokens == 5
        assert edge.chat([{"role": "user", "content": "Tom"}]).usage.tokens == 5


def test_texts_under_way_end_with_the_bundle_that_they_began_with(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    with world.edge(max_tokens=20) as edge, edge.stream("Tom") as first:
        next(first)
        world.target.offer(made(tmp_path / "two", "two", target_fingerprint="new"))
        world.target._fingerprint = "new"
        world.clock.sleep(FRESH + 1)
        edge.generate("Tom")
        wait_for_errands()
        second = edge.generate("Tom")
        assert edge.bundle.manifest.name == "two"
        assert first.finish().usage.tokens == second.usage.tokens == 20


def test_where_it_does_not_come_another_one_for_the_same_target_is_used(world, tmp_path, monkeypatch):
    world.store.add(made(tmp_path / "mine", "mine"), lambda: None)
    world.serve(made(tmp_path / "one"))
    monkeypatch.setenv(LARGEST, "10")
    assert world.used() == "mine"
    assert f"the bundle that {ADDRESS} offers is not used" in world.told[0]
    assert "mine is used instead" in world.told[0]


def test_where_it_does_not_come_and_nothing_fits_the_error_is_told(world, tmp_path, monkeypatch):
    world.serve(made(tmp_path / "one"))
    monkeypatch.setenv(LARGEST, "10")
    with world.edge() as edge, pytest.raises(BundleError, match="fetches 10 B at most"):
        edge.generate("Tom")


def test_where_a_new_one_does_not_come_the_present_one_goes_on(world, tmp_path, monkeypatch):
    world.serve(made(tmp_path / "one"))
    with world.edge() as edge:
        edge.generate("Tom")
        monkeypatch.setenv(LARGEST, "10")
        world.target.offer(made(tmp_path / "two", "two", target_fingerprint="new"))
        world.target._fingerprint = "new"
        world.clock.sleep(FRESH + 1)
        assert any("new" in warning for warning in edge.generate("Tom").warnings)
        for _ in range(20):  # it is told once, and tried again later and later
            wait_for_errands()
            edge.generate("Tom")
            assert edge.bundle.manifest.name == "one"
            world.clock.sleep(FRESH + 1)
        assert len(world.told) == 2
        assert "one is used instead" in world.told[-1]
        monkeypatch.delenv(LARGEST)
        world.clock.sleep(LONGEST_PAUSE)
        edge.generate("Tom")
        wait_for_errands()
        edge.generate("Tom")
        assert edge.bundle.manifest.name == "two"


def test_an_offer_that_is_none_is_an_error_only_to_those_that_want_it(world, tmp_path):
    one = made(tmp_path / "one")
    world.serve(one)
    contents = contents_of(one)
    world.target._offered = Contents("bad", (*contents.files[1:], contents.files[1]))
    with world.edge() as edge, pytest.raises(ProtocolError, match="other files than"):
        edge.generate("Tom")
    with world.edge(bundle=loaded(one)) as edge:
        assert edge.generate("Tom").usage.tokens == 5


def test_a_bundle_that_is_given_is_never_changed(world, tmp_path):
    world.serve(made(tmp_path / "one"))
    with world.edge(bundle=loaded(made(tmp_path / "mine", "mine"))) as edge:
        edge.generate("Tom")
        world.clock.sleep(FRESH + 1)
        edge.generate("Tom")
        assert edge.bundle.manifest.name == "mine"
    assert world.transport.calls == []


def test_a_user_without_a_home_is_told_where_to_keep_it(world, tmp_path, monkeypatch):
    world.serve(made(tmp_path / "one"))

    def homeless(cls) -> Store:
        raise InputError("no home")

    monkeypatch.setattr(Store, "of_this_user", classmethod(homeless))
    with world.edge() as edge, pytest.raises(InputError, match="set TANDEM_BUNDLES"):
        edge.generate("Tom")
    assert world.used(mode="local") == "pocket"
