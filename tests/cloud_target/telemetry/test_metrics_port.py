"""The port of the metrics: it answers, and strangers who ask nothing have little of it, and not for long."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from cloud_target.telemetry import metrics_port
from cloud_target.telemetry.metrics_port import PortLimits, offered_at

# The proxy of an environment has no business here.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATIENCE = 20.0
pytestmark = pytest.mark.slow


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("asked", "So often", registry=registry).inc(3)
    return registry


@pytest.fixture
def address(registry) -> Iterator[str]:
    with offered_at("127.0.0.1", 0, registry, PortLimits(connections=3, seconds=0.5)) as address:
        yield address


def page(address: str) -> str:
    with OPENER.open(f"http://{address}/metrics", timeout=PATIENCE) as page:
        return page.read().decode()


def connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side closes it before anybody loses patience."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def threads() -> int:
    return sum("process_request" in thread.name for thread in threading.enumerate())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_is_offered_over_http_and_then_no_more(registry, host):
    with offered_at(host, 0, registry) as address:
        assert {family.name for family in text_string_to_metric_families(page(address))} == {"asked", "asked_created"}
    with pytest.raises(urllib.error.URLError):
        page(address)


def answered(address: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str, str]:
    """Status, what is allowed, and what was said."""
    connection = HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Allow", ""), answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics?name[]=asked_total", "/metrics?", "/metrics?x=%zz&[", "//metrics"]
)
def test_where_metrics_are(address, path):
    status, _, said = answered(address, "GET", path)
    assert status == 200
    assert "asked_total 3.0" in said


@pytest.mark.parametrize(
    "path",
    ["/", "/metrics/", "/Metrics", "/metricsx", "/x?/metrics", "*", "metrics", "http://[", "/../metrics", "/<b>"],
)
def test_where_nothing_is(address, path, caplog):
    assert answered(address, "GET", path)[::2] == (404, "there is nothing here but /metrics\n")
    assert not caplog.messages


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "__class__"]
)
@pytest.mark.parametrize("path", ["/metrics", "/"])
def test_metrics_are_read_and_nothing_else(address, method, path, caplog):
    status, allowed, said = answered(address, method, path, b"asked 4\n" if method == "POST" else None)
    assert (status, allowed, "asked_total" in said) == (405, "GET", False)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/openmetrics-text;version=1.0.0", 200),
        ("*/*", 200),
        ("application/openmetrics-text;version=x", 406),
    ],
)
def test_in_which_form(address, accept, status, caplog):
    assert answered(address, "GET", "/metrics", Accept=accept)[0] == status
    assert not caplog.messages


def test_who_asks_for_the_head_alone_gets_no_body(address):
    assert answered(address, "HEAD", "/metrics") == (405, "GET", "")


def test_a_connection_that_asks_nothing_is_closed_and_nothing_is_said_of_it(address, capfd):
    with connected(address) as silent:
        assert is_closed(silent)
    assert "asked_total 3.0" in page(address)
    assert capfd.readouterr() == ("", "")


def test_one_that_asks_slowly_has_no_longer_than_one_that_asks_nothing(address, capfd):
    """Each byte comes in time, and the question as a whole never does."""
    end = time.monotonic() + PATIENCE
    with connected(address) as slow:
        slow.settimeout(0.05)
        while True:
            assert time.monotonic() < end
            try:
                slow.sendall(b"G")
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                pass  # and so it goes on
            except OSError:
                break
    assert "asked_total 3.0" in page(address)
    assert capfd.readouterr() == ("", "")


def test_connections_beyond_the_most_are_closed_and_threads_are_no_more_than_these(registry):
    limits = PortLimits(connections=3, seconds=2 * PATIENCE)
    with offered_at("127.0.0.1", 0, registry, limits) as address:
        waiting = [connected(address) for _ in range(3)]
        for _ in range(3):
            with connected(address) as late:
                assert is_closed(late), "at once, as those before it have much time yet"
        assert threads() <= 3
        for one in waiting:
            one.close()
        end = time.monotonic() + PATIENCE
        while threads():
            assert time.monotonic() < end
            time.sleep(0.02)
        assert "asked_total 3.0" in page(address)


def test_peers_that_leave_in_the_middle_are_nothing_to_tell(registry, capfd):
    with offered_at("127.0.0.1", 0, registry) as address:
        for said in (b"", b"GET", b"GET /metrics HTTP/1.1\r\n\r\n"):
            with connected(address) as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                peer.sendall(said)
        assert "asked_total 3.0" in page(address)
    assert capfd.readouterr() == ("", "")


class Counted:
    """A collector that knows how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def collect(self) -> Iterator[Metric]:
        self.times += 1
        yield CounterMetricFamily("times", "So often", self.times)


@pytest.mark.parametrize(("saved", "alike", "all_of_them"), [(1e-9, 1, 1), (60.0, 9, 18)])
def test_making_pages_takes_a_share_of_the_time(saved, alike, all_of_them, monkeypatch):
    """However often they are asked for: to make one keeps Python from texts for milliseconds."""
    monkeypatch.setattr(metrics_port, "_SHARE", 0.0)
    monkeypatch.setattr(metrics_port, "_SAVED", saved)
    registry, counted = CollectorRegistry(auto_describe=False), Counted()
    registry.register(counted)
    with offered_at("127.0.0.1", 0, registry) as address:
        pages = [page(address) for _ in range(9)]
        odd = [f"application/openmetrics-text; version=1.{number}.0" for number in range(9)]
        assert [answered(address, "GET", "/metrics", Accept=kind)[0] for kind in odd] == [200] * 9
    assert counted.times == all_of_them
    assert f"times_total {float(alike)}" in pages[-1]


def test_each_kind_of_page_is_kept_apart(registry):
    with offered_at("127.0.0.1", 0, registry) as address:
        for _ in range(2):
            assert "# EOF" not in page(address)
            status, _, said = answered(address, "GET", "/metrics", Accept="application/openmetrics-text; version=1.0.0")
            assert status == 200
            assert said.endswith("# EOF\n")
