"""Metrics are offered where the operator wants them, or one sentence says why not."""

from __future__ import annotations

import socket

import pytest

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.telemetry import exporting as offered
from cloud_target.telemetry.settings import TelemetrySettings
from cloud_target.telemetry.traces import NO_TRACES
from shared.errors import InputError

ENGINE = ScriptedEngine(random_script(8), 8)


def test_a_taken_port_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asked = TelemetrySettings(taken.getsockname()[1])
        with pytest.raises(InputError, match="address already in use; choose another --metrics-port"):
            offered.check(asked)
        with pytest.raises(InputError, match="choose another"), offered.telemetry(asked, ENGINE):
            pass


def test_without_a_port_nothing_listens():
    offered.check(TelemetrySettings())
    with offered.telemetry(TelemetrySettings(), ENGINE) as (_, traces, address):
        assert address is None
        assert traces is NO_TRACES
