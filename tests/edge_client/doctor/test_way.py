"""Proxies and certificates, without any network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edge_client.doctor.deadline import Deadline
from edge_client.doctor.way import Way, dates, proxy_for
from edge_client.target.credentials import Credentials
from shared.findings import Level, run_checks

END = datetime(2027, 3, 1, 12, tzinfo=UTC)
CERTIFICATE = {
    "notAfter": "Mar  1 12:00:00 2027 GMT",
    "subjectAltName": (("DNS", "gpu.example"), ("IP Address", "10.0.0.1")),
}


@pytest.mark.parametrize(("days", "level"), [(100, Level.OK), (22, Level.OK), (20, Level.WARN), (0, Level.WARN)])
def test_the_end_of_a_certificate(days, level):
    found = dates(CERTIFICATE, END - timedelta(days=days))
    assert found.level is level
    assert "for gpu.example, 10.0.0.1, valid until 2027-03-01" in found.sentence
    assert "for no host at all" in dates({"notAfter": CERTIFICATE["notAfter"]}, END).sentence


def test_a_proxy_takes_the_place_of_the_way(monkeypatch):
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert proxy_for("gpu.example") is None
    monkeypatch.setenv("http_proxy", "http://anna:secret@proxy.example:3128")
    assert proxy_for("127.0.0.1") is None
    way = Way("gpu.example", 1, Credentials(), Deadline(1.0))
    [finding] = run_checks(way.checks())
    assert (finding.level, finding.name, way.is_lost) == (Level.WARN, "proxy", False)
    assert "proxy.example:3128" in finding.sentence
    assert "secret" not in finding.sentence + str(finding.values)
    monkeypatch.setenv("no_proxy", "localhost, .example")
    assert proxy_for("gpu.example") is None
    assert [name for name, _ in Way("gpu.example", 1, Credentials(), Deadline(1.0)).checks()] == [
        "name",
        "reach",
        "tls",
    ]
