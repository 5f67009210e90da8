"""Replicas behind the real Envoy, with the configuration that ships: texts go on, and sessions stay where they are."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

from benchmarks.replicas import Outcome, measure, words

needs_envoy = pytest.mark.skipif(
    importlib.util.find_spec("envoy") is None and shutil.which("envoy") is None,
    reason="there is no Envoy here; install the extra `deploy`",
)


@needs_envoy
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_no_token_changes_while_targets_die_come_and_drain_and_sessions_meet_their_cache() -> None:
    found = measure(8, 16, lambda _: None)
    assert found.different == 0
    assert (found.resumed, found.missed) == (8, 0)
    assert found.requests >= 16
    assert found.killed > 0
    assert found.drained > 0
    assert found.exit_status == 0


def test_hits_are_told_of_the_turns_that_go_on() -> None:
    found = Outcome(4, shares=[3, 5], requests=9, resumed=4, missed=1, seconds=[1.0, 2.0])
    assert found.hits == 0.75
    assert "75.0% of 4" in words(found)
    assert "3 and 5" in words(found)
