"""Which strangers come: all kinds by turns, each of which can be told from the others."""

from __future__ import annotations

import pytest

from benchmarks.siege.kinds import KINDS, shared_out


def test_every_kind_has_a_name_of_its_own():
    assert len({kind.name for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_goes_on_and_on_never_ends(kind):
    if kind.again is None:
        assert kind.stays > 0
    else:
        assert all(kind.again(number) for number in range(3))


def test_connections_are_shared_out_evenly():
    names = [kind.name for kind in shared_out(2 * len(KINDS) + 1)]
    assert {names.count(kind.name) for kind in KINDS[1:]} == {2}
    assert names.count(KINDS[0].name) == 3
    assert {kind.name for kind in shared_out(5, ["pings", "silent"])} == {"pings", "silent"}
