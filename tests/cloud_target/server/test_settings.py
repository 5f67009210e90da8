"""What `cloud-target serve` is told arrives as values."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from cloud_target.access.settings import AccessSettings
from cloud_target.bundles.settings import BundleSettings
from cloud_target.engine.settings import EngineSettings
from cloud_target.server.cli import add_commands
from cloud_target.server.connections import ConnectionSettings
from cloud_target.server.options import add_options, read_settings
from cloud_target.server.settings import ServeSettings
from cloud_target.telemetry.settings import TelemetrySettings
from shared.errors import InputError


def read(*words: str) -> ServeSettings:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return read_settings(parser.parse_args(words))


def test_without_options_all_is_as_the_settings_say():
    assert read() == ServeSettings()


def test_every_option_arrives():
    engine = ["--target", "m", "--device", "cpu", "--dtype", "float16", "--kv-memory", "1KiB", "--context", "9"]
    engine += ["--engine", "vllm", "--lora", "poet=/p"]
    server = ["--threads", "2", "--host", "0.0.0.0", "--port", "0", "--no-prefix-caching", "--drain-seconds", "1.5"]
    access = ["--tls-cert", "c", "--tls-key", "k", "--client-ca", "a", "--tokens", "t", "--limits", "calls=1"]
    seen = ["--metrics-port", "1", "--metrics-host", "::1", "--log-format", "json", "--log-level", "info"]
    seen += ["--otlp-traces-endpoint", "http://[::1]:4317"]
    passes = ["--pass-seconds", "60", "--session-idle", "90"]
    connections = ["--connections", "9", "--connection-streams", "8", "--connection-idle", "7", "--connection-age", "6"]
    more = ["--connection-grace", "5", "--connection-silence", "3", "--request-size", "4MiB"]
    bundle = ["--bundle", "b", "--bundle-fetches", "3"]
    words = [*engine, *server, *passes, *connections, *more, *access, "--insecure-bind", *seen, *bundle]
    assert read(*words) == ServeSettings(
        EngineSettings("m", "cpu", "float16", 1024, 9, 2, "vllm", adapters=(("poet", "/p"),)),
        "0.0.0.0",
        0,
        prefix_caching=False,
        drain_seconds=1.5,
        pass_seconds=60,
        session_idle=90,
        connections=ConnectionSettings(9, 8, 7, 6, 5, 3, 4 << 20),
        access=AccessSettings(Path("c"), Path("k"), Path("a"), Path("t"), "calls=1", insecure_bind=True),
        telemetry=TelemetrySettings(1, "::1", "json", "info", "http://[::1]:4317"),
        bundle=BundleSettings(Path("b"), 3),
    )


def test_what_stands_behind_two_dashes_is_for_vllm():
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    words = ["serve", "--engine", "vllm", "--", "--quantization", "awq"]
    assert read_settings(parser.parse_args(words)).engine.vllm_options == ("--quantization", "awq")
    with pytest.raises(InputError, match=r"is for vLLM .--quantization awq.; add --engine vllm"):
        read_settings(parser.parse_args(["serve", "--", "--quantization", "awq"]))


def test_adapters_are_named_and_for_vllm(monkeypatch, capsys):
    monkeypatch.setenv("HOME", "/somebody")
    found = read("--engine", "vllm", "--lora", "poet=/a=b", "--lora", "clerk.2=~/c").engine.adapters
    assert found == (("poet", "/a=b"), ("clerk.2", "/somebody/c"))
    with pytest.raises(InputError, match="--engine hf reads no adapters; add --engine vllm, or merge the adapter"):
        read("--lora", "poet=/a")
    for words in ("poet", "=/a", "a b=/c", "poet=", "x" * 65 + "=/a"):
        with pytest.raises(SystemExit):
            read("--engine", "vllm", "--lora", words)
        assert "must be NAME=DIR" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_session_may_be_idle_for_some_time(seconds):
    with pytest.raises(InputError, match="--session-idle must be above 0"):
        read("--session-idle", seconds)


def test_two_ports_are_two():
    with pytest.raises(InputError, match="have the same port, 9464; give another --port or --metrics-port"):
        read("--port", "9464", "--metrics-port", "9464")
    assert read("--port", "0", "--metrics-port", "0").telemetry.metrics_port == 0


@pytest.mark.parametrize(
    "url", ["collector:4317", "http://collector", "ftp://collector:4317", "https://:0", "http://a:1/x"]
)
def test_a_collector_is_where_it_can_be_reached(url, capsys):
    with pytest.raises(SystemExit):
        read("--otlp-traces-endpoint", url)
    assert "must be http://HOST:PORT or https://HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf"])
def test_calls_can_be_waited_for_only_so_long(seconds):
    with pytest.raises(InputError, match="--drain-seconds must be between 0 and 86400"):
        read("--drain-seconds", seconds)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_pass_may_take_some_time(seconds):
    with pytest.raises(InputError, match="--pass-seconds must be above 0"):
        read("--pass-seconds", seconds)
    assert read("--pass-seconds", "inf").pass_seconds == float("inf")
