"""The note of which bundle was used with which target: bounded, and never in anybody's way."""

from __future__ import annotations

import pytest

from edge_client.bundles.uses import MOST_ADDRESSES, SOON, Known, Uses
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
