"""deploy/envoy/envoy.yaml: what it says fits the edges and the targets, and Envoy itself takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.envoy import SHIPPED, EnvoyProcess, for_loopback, free_ports, validate
from benchmarks.replicas import BEHIND_PROXY
from edge_client.target.credentials import Credentials
from edge_client.target.grpc_transport import GrpcTransport
from shared.errors import TargetBusy, TargetError
from shared.wire import metadata
from tests.certificates import Authority
from tests.deploy.envoys import needs_envoy

WHOLE: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
LISTENERS = {listener["name"]: listener for listener in WHOLE["static_resources"]["listeners"]}
TARGETS = next(cluster for cluster in WHOLE["static_resources"]["clusters"] if cluster["name"] == "targets")
MANAGER = LISTENERS["edges"]["filter_chains"][0]["filters"][0]["typed_config"]
[ROUTE] = [route["route"] for route in MANAGER["route_config"]["virtual_hosts"][0]["routes"]]


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    authority = Authority(tmp_path)
    authority.issue("server", "cloud", "localhost", "127.0.0.1")
    return tmp_path


def test_sessions_are_kept_by_the_key_that_edges_send_and_nobody_retries_or_times_out() -> None:
    assert ROUTE["hash_policy"] == [{"header": {"header_name": metadata.SESSION}}]
    assert TARGETS["lb_policy"] == "RING_HASH"
    assert "retry_policy" not in ROUTE
    assert ROUTE["timeout"] == MANAGER["stream_idle_timeout"] == MANAGER["request_timeout"] == "0s"


def test_a_connection_to_a_target_never_has_the_streams_that_the_target_would_refuse() -> None:
    options = TARGETS["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    streams = options["explicit_http_config"]["http2_protocol_options"]["max_concurrent_streams"]
    most = int(BEHIND_PROXY[BEHIND_PROXY.index("--connection-streams") + 1])
    assert 0.5 * most < streams < 0.95 * most


def test_only_two_pages_of_the_admin_are_shown_to_others() -> None:
    assert WHOLE["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    manager = LISTENERS["watch"]["filter_chains"][0]["filters"][0]["typed_config"]
    matches = [route["match"] for route in manager["route_config"]["virtual_hosts"][0]["routes"]]
    assert matches == [{"path": "/ready"}, {"path": "/stats/prometheus"}]


@needs_envoy
@pytest.mark.slow
def test_envoy_takes_it_without_a_warning(credentials: Path) -> None:
    file = credentials / "envoy.yaml"
    file.write_text(SHIPPED.read_text(encoding="utf-8").replace("/credentials/", f"{credentials}/"))
    assert validate(file) == ""
    file.write_text(file.read_text().replace("RING_HASH", "RING_HUSH"))
    assert "RING_HUSH" in validate(file)


@needs_envoy
@pytest.mark.slow
def test_without_a_target_an_edge_hears_so_at_once_and_a_tenant_that_calls_too_often_is_busy(credentials: Path) -> None:
    configuration = for_loopback(credentials, free_ports(3), free_ports(1))
    text = json.dumps(configuration).replace(
        '"max_tokens": 400, "tokens_per_fill": 100', '"max_tokens": 3, "tokens_per_fill": 1'
    )
    text = text.replace('"fill_interval": "1s"}}]', '"fill_interval": "600s"}}]')
    with EnvoyProcess(credentials, json.loads(text)) as envoy:
        heard = {
            token: [_heard(envoy.address, Credentials(ca=credentials / "ca.pem", token=token)) for _ in range(5)]
            for token in ("one", "two")
        }
    for kinds in heard.values():
        assert TargetBusy not in kinds[:3]
        assert kinds[3:] == [TargetBusy, TargetBusy]


def _heard(address: str, credentials: Credentials) -> type[TargetError]:
    transport = GrpcTransport(address, credentials)
    try:
        with pytest.raises(TargetError) as caught:
            transport.describe(5.0)
    finally:
        transport.close()
    return caught.type
