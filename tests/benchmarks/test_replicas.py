"""Replicas behind the real Envoy, with the configuration that ships: texts go on, and sessions stay where they are."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from benchmarks.replicas import Fleet, Outcome, Writers, measure, words
from edge_client.bundles.bundle import Bundle
from tests.deploy.envoys import needs_envoy


@needs_envoy
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_no_token_changes_while_targets_die_come_and_drain_and_sessions_meet_their_cache() -> None:
    found = measure(8, 16, lambda _: None)
    assert found.different == 0
    assert found.requests > 3 * 2 * 8, "in sprint it takes more than one a turn"
    assert found.hits >= 0.95
    assert found.resumed == 8
    assert found.killed > 0
    assert found.exit_status == 0


@needs_envoy
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_a_target_that_hangs_is_left_for_another_one() -> None:
    """An edge's own pings end at Envoy, so that Envoy has to watch."""
    bundle = Bundle.load()
    with Fleet(2) as fleet:
        first, _ = fleet.start(0), fleet.start(1)
        with Writers(6, 16, bundle, fleet.direct, fleet.credentials) as alone:
            alone.turn()
        envoy = fleet.proxy()
        envoy.wait_for_replicas(2)
        with Writers(6, 16, bundle, envoy.address, fleet.credentials) as writers:
            try:
                writers.turn(lambda: os.kill(first.process.pid, signal.SIGSTOP))
                assert writers.texts == alone.texts
                writers.turn()
                envoy.wait_for_replicas(1)
            finally:
                os.kill(first.process.pid, signal.SIGCONT)


def test_hits_are_told_of_all_requests_but_the_first_of_each_conversation() -> None:
    found = Outcome(4, shares=[18, 25], requests=44, missed=1, resumed=3, seconds=[1.0, 2.0])
    assert found.hits == 0.975
    assert "97.5% of 40" in words(found)
    assert "3 of 4" in words(found)
    assert "18 and 25" in words(found)
