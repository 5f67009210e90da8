"""The local server as anything may reach it over HTTP, well-meaning or not."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from time import sleep

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.edge import Edge
from edge_client.inference.draft import Step
from edge_client.server.models import Models
from edge_client.server.settings import ServerSettings
from edge_client.testing import scripted_bundle, scripted_edge
from shared.draw import Draw
from shared.errors import InputError
from tests.edge_client.server.serving import Served, served

KEY = "a-key-of-16-signs"
ASK = json.dumps({"model": "scripted", "prompt": "Once", "max_tokens": 3})


@pytest.fixture
def edge() -> Iterator[Edge]:
    with scripted_edge(max_tokens=8) as edge:
        yield edge


def ask(
    client: Served, method: str, path: str, body: str | bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer; underscores in the names of headers are hyphens."""
    connection = http.client.HTTPConnection(client.address, timeout=20)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    connection.close()
    return found


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ('"text"', 400),
        ('{"model": "scripted", "prompt": "a", "temperature": NaN}', 400),
        ('{"model": "scripted", "prompt": "a", "temperature": 1e999}', 400),
        ("[" * 100_000, 400),
        (b"\xff\xfe\x00", 400),
        ('{"prompt": "' + "a" * 5000 + '"}', 413),
        ('{"model": "scripted", "prompt": "\\ud800"}', 400),
        ('{"model": "scripted", "prompt": "a", "\\ud83d": 1}', 400),
        ('{"model": "scripted", "prompt": "a", "user": "\\ude00\\ud83d"}', 400),
    ],
)
def test_a_body_that_is_no_request_is_told_so(edge, body, status):
    with served(edge, largest_request=4096 if status == 413 else 1 << 20) as client:
        found, headers, said = ask(client, "POST", "/v1/completions", body)
        assert found == status
        assert headers["content-type"] == "application/json"
        error = json.loads(said)["error"]
        assert error["type"] == "invalid_request_error"
        assert len(error["message"]) > 20
        assert ask(client, "POST", "/v1/completions", ASK)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/completions", 405),
        ("POST", "/v1/embeddings", 404),
        ("DELETE", "/v1/models", 405),
    ],
)
def test_other_paths_say_what_is_served(edge, method, path, status):
    with served(edge) as client:
        found, _, said = ask(client, method, path)
        assert found == status
        assert "/v1/chat/completions" in json.loads(said)["error"]["message"]


def test_a_web_page_under_a_name_of_its_own_gets_nothing(edge):
    with served(edge) as client:
        for name in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[fe80::1]:80"):
            status, _, said = ask(client, "POST", "/v1/completions", ASK, Host=name)
            assert (status, "no name of this server" in said) == (403, True)
        for name in ("localhost", "LOCALHOST:99", "127.0.0.1:1", "[::1]:8080", "127.8.9.1"):
            assert ask(client, "GET", "/v1/models", Host=name)[0] == 200


@pytest.mark.parametrize("path", ["/v1/completions", "/tandem/link"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json"])
def test_a_web_page_of_another_site_cannot_even_send_what_it_may_not_read(edge, path, kind):
    """A form is sent by a browser without asking first, and a text that is written is paid, whoever reads it."""
    body = ASK if path == "/v1/completions" else '{"cut": true}'
    with served(edge) as client:
        for origin in ("https://evil.example", "http://127.0.0.1:1", "null"):
            status, _, said = ask(client, "POST", path, body, Content_Type=kind, Origin=origin)
            assert status == 403
            assert f"a web page of {origin} may not ask" in json.loads(said)["error"]["message"]
        assert json.loads(ask(client, "GET", "/health")[2])["link"] == "whole"
        assert ask(client, "GET", "/v1/models", Host="localhost:8080", Origin="http://localhost:8080")[0] == 200
    with served(edge, origins=("https://chat.example",)) as client:
        assert ask(client, "GET", "/v1/models", Origin="https://chat.example")[0] == 200
        assert ask(client, "GET", "/v1/models", Origin="https://evil.example")[0] == 403
    with served(edge, origins=("*",)) as client:
        assert ask(client, "GET", "/v1/models", Origin="https://evil.example")[0] == 200


def test_the_key_opens_all_but_health(edge):
    with served(edge, key=KEY) as client:
        for given in ("", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer \xe9"):
            for path in ("/v1/models", "/metrics", "/v1/completions", "/nothing"):
                status, headers, said = ask(client, "GET", path, Authorization=given)
                assert status == 401
                assert headers["www-authenticate"] == "Bearer"
                assert json.loads(said)["error"]["code"] == "invalid_api_key"
        assert ask(client, "GET", "/health")[0] == 200
        assert ask(client, "GET", "/v1/models", Authorization=f"bearer {KEY}", Host="any.example")[0] == 200
        assert [model.id for model in client.models.list()]


def test_a_temperature_that_is_hardly_one_is_greedy_and_harms_nobody(edge):
    def text(client: Served, **fields: object) -> str:
        answer = client.completions.create(model="scripted", prompt="Once", seed=1, max_tokens=8, **fields)
        return answer.choices[0].text

    with served(edge) as client:
        before = text(client, temperature=0.7)
        for mode in ("sprint", "exact", "cloud", "local"):
            tandem = {"extra_body": {"tandem": {"mode": mode}}}
            greedy = text(client, temperature=0, **tandem)
            assert [text(client, temperature=cold, **tandem) for cold in (5e-324, 1e-310, 1e-46, 9e-6)] == [greedy] * 4
        assert text(client, temperature=0.7) == before


def test_a_body_that_is_announced_as_too_large_is_not_waited_for(edge):
    with served(edge) as client:
        connection = http.client.HTTPConnection(client.address, timeout=20)
        connection.putrequest("POST", "/v1/completions")
        connection.putheader("Content-Length", "99999999999")
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()


def test_who_leaves_in_the_middle_of_a_request_is_no_failure_of_the_server(edge, caplog):
    with served(edge) as client:
        host, _, port = client.address.partition(":")
        with socket.create_connection((host, int(port))) as leaving:
            leaving.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: {client.address}\r\n".encode())
            leaving.sendall(b"Content-Length: 100\r\n\r\n{")
        left = requests("/v1/completions", 499)
        while left not in (values := values_of(client)):
            sleep(0.01)
        assert values[left] == 1
    assert not caplog.records


def test_a_mistake_in_the_middle_of_a_stream_is_told_in_the_stream(monkeypatch, caplog):
    def mistaken(step: Step, draw: Draw) -> float:
        return 0.5 if draw.token else 1 / 0

    bundle = scripted_bundle(lambda text: np.eye(261)[0 if len(text) > 8 else 50] * 40.0, mistaken)
    with scripted_edge(bundle=bundle, mode="local", max_tokens=20) as edge, served(edge) as client:
        status, _, said = ask(client, "POST", "/v1/completions", ASK.replace("3}", '20, "stream": true}'))
        whole, _, sentence = ask(client, "POST", "/v1/completions", ASK.replace("3}", "20}"))
    *_, last = said.strip().split("\n\n")
    assert (status, whole) == (200, 500)
    error = json.loads(last.removeprefix("data: "))["error"]
    assert error == json.loads(sentence)["error"]
    assert "its standard error says why" in error["message"]
    assert caplog.text.count("ZeroDivisionError") == 2


def test_web_pages_of_a_named_origin_may_ask(edge):
    wanted = {"Origin": "https://chat.example", "Access_Control_Request_Method": "POST"}
    with served(edge) as client:
        assert "access-control-allow-origin" not in ask(client, "GET", "/v1/models", Origin="https://chat.example")[1]
    with served(edge, origins=("https://chat.example",), key=KEY) as client:
        status, headers, _ = ask(client, "OPTIONS", "/v1/completions", **wanted)
        assert (status, headers["access-control-allow-origin"]) == (200, "https://chat.example")
        assert ask(client, "OPTIONS", "/v1/completions", **wanted | {"Origin": "https://evil.example"})[0] == 400
        by_their_client = {
            "Access_Control_Request_Headers": "authorization,content-type,x-stainless-lang,x-stainless-os",
            "Access_Control_Request_Private_Network": "true",
        }
        assert ask(client, "OPTIONS", "/v1/completions", **wanted | by_their_client)[0] == 200
        answer = ask(client, "GET", "/v1/models", Origin="https://chat.example", Authorization=f"Bearer {KEY}")
        assert answer[1]["access-control-allow-origin"] == "https://chat.example"


def values_of(client: Served, **headers: str) -> dict[str, float]:
    """All metrics, by name and labels."""
    status, found, said = ask(client, "GET", "/metrics", **headers)
    assert (status, found["content-type"][:10]) == (200, "text/plain")
    lines = (line.rsplit(" ", 1) for line in said.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def requests(path: str, status: int) -> str:
    return f'tandem_edge_requests_total{{path="{path}",status="{status}"}}'


def test_health_and_metrics(edge):
    with served(edge) as client:
        client.completions.create(model="scripted:exact", prompt="Once", seed=1, max_tokens=6)
        status, _, said = ask(client, "GET", "/health")
        assert (status, json.loads(said)["status"], json.loads(said)["model"]) == (200, "ok", "scripted")
        values = values_of(client)
        assert values[requests("/v1/completions", 200)] == 1
        assert values['tandem_edge_tokens_total{origin="target"}'] == 6
        assert values["tandem_edge_texts"] == 0
        assert values["tandem_edge_calls_total"] >= 1


def test_every_answer_is_counted_once(edge, monkeypatch):
    with served(edge, key=KEY) as client:
        known = {"Authorization": f"Bearer {KEY}"}
        for path in ("/v1/models", "/v1/models", "/nothing"):
            ask(client, "GET", path)
        ask(client, "GET", "/nothing", **known)
        ask(client, "GET", "/v1/completions", **known)
        ask(client, "POST", "/v1/completions", "{", **known)
        ask(client, "POST", "/v1/completions", ASK, **known)
        ask(client, "POST", "/v1/completions", ASK.replace("}", ', "stream": true}'), **known)
        ask(client, "GET", "/v1/models/scripted:local", **known)
        monkeypatch.setattr(Models, "listed", lambda _: 1 / 0)
        ask(client, "GET", "/v1/models", **known)
        counted = {name: value for name, value in values_of(client, **known).items() if "requests_total" in name}
    assert counted == {
        requests("other", 401): 3,
        requests("other", 404): 1,
        requests("/v1/completions", 405): 1,
        requests("/v1/completions", 400): 1,
        requests("/v1/completions", 200): 2,
        requests("/v1/models/{name}", 200): 1,
        requests("/v1/models", 500): 1,
    }


@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ({"host": "0.0.0.0"}, "api_key_file"),
        ({"host": "0.0.0.0", "key": KEY}, "https_cert"),
        ({"host": "device.example"}, "api_key_file"),
        ({"key": "short"}, "api_key_file"),
        ({"key": "with spaces in it"}, "api_key_file"),
        ({"port": 70000}, "port"),
        ({"texts": 0}, "texts"),
        ({"waiting": -1}, "waiting"),
        ({"origins": ("chat.example",)}, "allow_origin"),
        ({"https_cert": "cert.pem"}, "https_key"),
    ],
)
def test_settings_that_are_not_safe_are_refused(wrong, option):
    with pytest.raises(InputError) as caught:
        ServerSettings(**wrong)
    assert option in caught.value.options


def test_a_key_is_not_shown():
    assert KEY not in repr(ServerSettings(key=KEY))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.lists(
        st.one_of(st.integers(0, 300), st.text(max_size=3), st.lists(st.integers(0, 300), max_size=3)), max_size=3
    ),
    st.dictionaries(st.sampled_from(["type", "mode", "role", "events", "include_usage", "budget"]), st.integers(0, 3)),
)
FIELDS = (
    *("model", "prompt", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop"),
    *("seed", "n", "stream", "stream_options", "logprobs", "top_logprobs", "tandem", "echo", "suffix", "best_of"),
    *("logit_bias", "response_format", "tools", "frequency_penalty", "anything"),
)


def test_whatever_is_asked_the_server_does_not_fail(edge):
    chat = {"messages": [{"role": "user", "content": "Once"}]}
    with served(edge) as client:

        @given(st.booleans(), st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
        @settings(max_examples=300)
        def check(is_chat, fields):
            path = "/v1/chat/completions" if is_chat else "/v1/completions"
            body = {"model": "scripted", "max_tokens": 3} | (chat if is_chat else {"prompt": "Once"}) | fields
            status, _, said = ask(client, "POST", path, json.dumps(body))
            assert status in (200, 400, 404)
            if status != 200:
                assert len(json.loads(said)["error"]["message"]) > 10

        check()
