"""The note of which bundle was used with which target: bounded, and never in anybody's way."""

from __future__ import annotations

import json

import pytest

from edge_client.bundles.uses import MOST_ADDRESSES, SOON, Known, SetAside, Uses
from edge_client.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    clock = ManualClock()
    clock.sleep(10 * SOON)
    return clock


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 9, "addresses": {}, "used": {}, "added": []}', "\ud7ff["])
def test_a_damaged_file_is_as_good_as_none(tmp_path, text, clock):
    path = tmp_path / "uses.json"
    path.write_text(text)
    uses = Uses(path, clock.now)
    assert uses.read() == Known()
    uses.note("a:1", "d")
    assert uses.read() == Known({"a:1": "d"}, {"d": clock.now()})


def test_what_is_noted_again_soon_is_not_written_again(tmp_path, clock):
    uses = Uses(tmp_path / "uses.json", clock.now)
    uses.note("a:1", "d")
    first = clock.now()
    clock.sleep(SOON / 2)
    uses.note("a:1", "d")
    assert uses.read().used == {"d": first}
    clock.sleep(SOON)
    uses.note("a:1", "d")
    assert uses.read().used == {"d": clock.now()}


@pytest.mark.slow
def test_the_oldest_addresses_are_forgotten(tmp_path, clock):
    uses = Uses(tmp_path / "uses.json", clock.now)
    for number in range(MOST_ADDRESSES + 3):
        uses.note(f"host:{number}", "d")
    addresses = list(uses.read().addresses)
    assert len(addresses) == MOST_ADDRESSES
    assert addresses[0] == "host:3"


def test_a_place_that_cannot_be_written_to_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("")
    uses = Uses(tmp_path / "file" / "uses.json")
    uses.note("a:1", "d")
    uses.add("d")
    uses.forget("d")
    assert uses.read() == Known()


ASIDE = SetAside("two", "one", 0.5, 0.1)


def test_what_is_set_aside_is_remembered_and_the_other_one_is_that_of_the_address(tmp_path, clock):
    uses = Uses(tmp_path / "uses.json", clock.now)
    uses.note("a:1", "two")
    uses.set_aside("a:1", ASIDE)
    assert uses.read().set_aside == {"a:1": ASIDE}
    assert uses.read().addresses == {"a:1": "one"}
    assert (uses.set_aside_at("a:1"), uses.set_aside_at("b:1")) == ("two", None)
    uses.note("a:1", "one")
    uses.add("three")
    assert uses.read().set_aside == {"a:1": ASIDE}
    uses.forget("two")
    assert uses.read().set_aside == {"a:1": ASIDE}, "else it would be fetched again"
    uses.forget("one")
    assert uses.read().set_aside == {}
    uses.set_aside("a:1", ASIDE)
    uses.forget_set_aside("a:1")
    assert uses.read().set_aside == {}


def test_the_embedded_one_may_be_what_is_used_instead(tmp_path):
    uses = Uses(tmp_path / "uses.json")
    uses.note("a:1", "two")
    uses.set_aside("a:1", SetAside("two", "", 0.5, 0.1))
    assert uses.read().addresses == {}


def test_only_what_was_set_aside_is_favoured(tmp_path):
    uses = Uses(tmp_path / "uses.json")
    uses.favour("a:1", "two")
    assert uses.read() == Known()
    uses.set_aside("a:1", ASIDE)
    uses.favour("a:1", "three")
    assert (uses.read().favoured, uses.set_aside_at("a:1")) == ({}, "two")
    uses.favour("a:1", "two")
    assert (uses.read().favoured, uses.set_aside_at("a:1")) == ({"a:1": "two"}, None)
    uses.set_aside("a:1", ASIDE)
    assert (uses.read().favoured, uses.set_aside_at("a:1")) == ({}, "two")


@pytest.mark.parametrize("one", [None, {}, [], {"digest": 3, "instead": "", "needed": 0.1, "usual": 0.1}, "two"])
def test_what_was_set_aside_may_be_damaged_too(tmp_path, one):
    path = tmp_path / "uses.json"
    data = {"format": 1, "addresses": {}, "used": {}, "added": [], "set_aside": {"a:1": one}}
    path.write_text(json.dumps(data))
    assert Uses(path).read() == Known()


def test_a_file_from_before_is_read(tmp_path):
    path = tmp_path / "uses.json"
    path.write_text('{"format": 1, "addresses": {"a:1": "d"}, "used": {"d": 5}, "added": ["d"]}')
    assert Uses(path).read() == Known({"a:1": "d"}, {"d": 5.0}, {"d"})
