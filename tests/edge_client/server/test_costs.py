"""What texts cost, over OpenAI's API: figures, metrics, and the cap."""

from __future__ import annotations

import re
from urllib.request import urlopen

import pytest
from openai import RateLimitError

from edge_client.usage.caps import Caps
from edge_client.usage.prices import Prices
from tests.edge_client.scripted_device import fake_edge
from tests.edge_client.server.serving import Served, served

EUR = Prices(price_in=1.0, price_out=2.0, currency="EUR")


def ask(client: Served, **tandem: object):
    return client.completions.create(model="fake", prompt="Tom", max_tokens=20, seed=1, extra_body={"tandem": tandem})


def metrics(client: Served) -> str:
    with urlopen(f"http://{client.address}/metrics") as answer:
        return answer.read().decode()


def metric(client: Served, name: str) -> float:
    (found,) = re.findall(rf"^{re.escape(name)} (.*)$", metrics(client), re.MULTILINE)
    return float(found)


def test_a_text_has_its_cost_where_there_are_prices():
    with fake_edge(ledger=False, prices=EUR) as edge, served(edge) as client:
        (done,) = ask(client, mode="cloud").usage.tandem
        cost = done["cost"]
        assert (
            cost["money"] == pytest.approx((cost["tokens_in"] + 2 * cost["tokens_out"]) / 1e6) == cost["streamed_money"]
        )
        assert cost["currency"] == "EUR"
        assert metric(client, 'tandem_edge_money_total{currency="EUR"}') == cost["money"]
        assert metric(client, 'tandem_edge_target_tokens_total{direction="out"}') == 20
        assert "cost" not in ask(client, mode="local").usage.tandem[0]
    with fake_edge(ledger=False) as edge, served(edge) as client:
        assert "cost" not in ask(client, mode="cloud").usage.tandem[0]
        assert metric(client, 'tandem_edge_target_tokens_total{direction="out"}') == 20
        assert "tandem_edge_money_total{" not in metrics(client)


def test_what_must_be_exact_is_refused_once_a_cap_is_reached_and_everything_else_goes_on():
    with fake_edge(ledger=False, caps=Caps(cap_calls=20), mode="exact") as edge, served(edge) as client:
        assert ask(client, require="exact").usage.tandem[0]["mode"] == "exact"
        for body in ({"require": "exact"}, {"on_outage": "fail"}, {"require": "exact", "mode": "cloud"}):
            with pytest.raises(RateLimitError) as refused:
                ask(client, **body)
            assert (refused.value.status_code, refused.value.code) == (429, "cap_reached")
            assert refused.value.type == "insufficient_quota"
            assert refused.value.response.headers["x-should-retry"] == "false"
            assert "the cap of 20 calls a day is reached" in refused.value.message
        (done,) = ask(client).usage.tandem
        assert done["alone"] == done["tokens"]
        assert "the draft writes this text alone" in done["warnings"][0]
