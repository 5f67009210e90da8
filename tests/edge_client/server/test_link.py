"""`POST /tandem/link` over HTTP: who may cut the link, and who sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from edge_client.edge import Edge
from edge_client.testing import LoopbackTransport, random_script, scripted_bundle, scripted_edge
from edge_client.testing.tokenizer import byte_tokenizer
from tests.edge_client.cut import BUNDLE, new_target
from tests.edge_client.server.serving import Served, served
from tests.edge_client.server.test_http import KEY, ask

JSON = {"Content_Type": "application/json"}
CUT, MEND = '{"cut": true}', '{"cut": false}'


@pytest.fixture
def edge() -> Iterator[Edge]:
    with scripted_edge(bundle=BUNDLE, transport=LoopbackTransport(new_target()), max_tokens=60) as edge:
        yield edge


def link(client: Served) -> str | None:
    return json.loads(ask(client, "GET", "/health")[2])["link"]


def written(client: Served) -> dict:
    (report,) = client.completions.create(model="scripted", prompt="Once", seed=1).usage.tandem
    return report


def test_all_texts_are_alone_while_it_is_cut(edge):
    with served(edge) as client:
        assert link(client) == "whole"
        assert written(client)["alone"] == 0
        for _ in range(2):
            status, _, said = ask(client, "POST", "/tandem/link", CUT, **JSON)
            assert (status, json.loads(said)) == (200, {"link": "cut"})
        assert link(client) == "cut"
        assert written(client)["alone"] > 0
        assert any("cut by the switch on the page" in warning for warning in written(client)["warnings"])
        assert json.loads(ask(client, "POST", "/tandem/link", MEND, **JSON)[2]) == {"link": "whole"}
        assert link(client) == "whole"
        assert written(client)["alone"] == 0


def test_another_server_begins_with_a_whole_link(edge):
    with served(edge) as client:
        ask(client, "POST", "/tandem/link", CUT, **JSON)
    with scripted_edge() as another, served(another) as client:
        assert link(client) == "whole"


@pytest.mark.parametrize(
    "body", ["{}", '{"cut": null}', '{"cut": 1}', '{"cut": "true"}', '{"cut": true, "for": 3}', "[]"]
)
def test_what_says_nothing_clear_changes_nothing(edge, body):
    with served(edge) as client:
        status, _, said = ask(client, "POST", "/tandem/link", body, **JSON)
        assert (status, link(client)) == (400, "whole")
        assert len(json.loads(said)["error"]["message"]) > 20


def test_who_may_not_ask_may_not_cut_it(edge):
    with served(edge, key=KEY) as client:
        assert ask(client, "POST", "/tandem/link", CUT, **JSON)[0] == 401
        assert ask(client, "POST", "/tandem/link", CUT, **JSON, Authorization=f"Bearer {KEY}x")[0] == 401
        assert link(client) == "whole"
        assert ask(client, "POST", "/tandem/link", CUT, **JSON, Authorization=f"Bearer {KEY}")[0] == 200
        assert link(client) == "cut"
    edge.switch.mend()
    with served(edge) as client:
        assert ask(client, "POST", "/tandem/link", CUT, **JSON, Host="evil.example")[0] == 403
        assert ask(client, "GET", "/tandem/link")[0] == 405
        assert link(client) == "whole"


def test_where_there_is_no_target_there_is_no_link():
    bundle = scripted_bundle(random_script(byte_tokenizer().get_vocab_size()))
    with Edge(bundle=bundle, max_tokens=5) as edge, served(edge) as client:
        assert link(client) is None
        status, _, said = ask(client, "POST", "/tandem/link", CUT, **JSON)
        assert status == 404
        assert "writes alone" in json.loads(said)["error"]["message"]
