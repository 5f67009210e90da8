"""`tandem.require: "exact"`: the target's own text or an error, whatever the server does otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from edge_client.testing import scripted_edge
from tests.edge_client.server.serving import Served, served


@pytest.fixture
def client() -> Iterator[Served]:
    with scripted_edge(max_tokens=24) as edge, served(edge) as client:
        yield client


def test_exact_is_required(client):
    def write(**tandem: object) -> str:
        got = client.completions.create(model="scripted", prompt="Once", seed=1, extra_body={"tandem": tandem})
        assert {report["mode"] for report in got.usage.tandem} <= {"exact", "cloud"}
        return got.choices[0].text

    assert write(require="exact") == write(require="exact", mode="CLOUD") == write(mode="exact")
    by_name = client.completions.create(
        model="scripted:cloud", prompt="Once", seed=1, extra_body={"tandem": {"require": "exact"}}
    )
    assert (by_name.choices[0].text, by_name.usage.tandem[0]["mode"]) == (write(mode="exact"), "cloud")
    with pytest.raises(openai.BadRequestError, match="target's own text"):
        write(require="exact", mode="sprint")
    with pytest.raises(openai.BadRequestError, match="mode local"):
        client.completions.create(model="scripted:local", prompt="Once", extra_body={"tandem": {"require": "exact"}})


def test_exact_is_required_whatever_the_server_does_otherwise():
    with scripted_edge(max_tokens=24, coupling="residual", on_outage="local") as edge, served(edge) as client:
        body = {"model": "scripted", "prompt": "Once", "temperature": 1.0}
        for seed in range(4):
            exact = client.completions.create(**body, seed=seed, extra_body={"tandem": {"require": "exact"}})
            cloud = client.completions.create(**body, seed=seed, extra_body={"tandem": {"mode": "cloud"}})
            assert exact.choices[0].text == cloud.choices[0].text
