"""The page at `/` over HTTP: its files, what a browser is told of them, and who gets them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from html.parser import HTMLParser

import pytest

from edge_client.edge import Edge
from edge_client.server.files import StaticFiles
from edge_client.testing import scripted_edge
from tests.edge_client.server.serving import Served, served
from tests.edge_client.server.test_http import KEY, ask
from tests.project.tree import ROOT, pyproject

FOLDER = ROOT / "edge_client" / "server" / "page"
NAMES = sorted(path.name for path in FOLDER.iterdir())
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'  # a name, which nobody fetches


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with scripted_edge(max_tokens=8, budget=0.03, temperature=0.9) as edge:
        yield edge


@pytest.fixture(scope="module")
def client(edge: Edge) -> Iterator[Served]:
    with served(edge) as client:
        yield client


@pytest.mark.parametrize("path", ["/", *(f"/page/{name}" for name in NAMES)])
def test_a_file_is_served_as_what_it_is_and_nothing_foreign_with_it(client, path):
    status, headers, body = ask(client, "GET", path)
    file = FOLDER / (path.removeprefix("/page/") if path != "/" else "index.html")
    assert (status, body) == (200, file.read_text(encoding="utf-8"))
    assert headers["content-type"].partition(";")[0] == KINDS[file.suffix]
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_who_has_a_file_is_told_so(client):
    _, headers, _ = ask(client, "GET", "/page/page.js")
    assert headers["cache-control"] == "no-cache"
    assert ask(client, "GET", "/page/page.js", If_None_Match=headers["etag"])[::2] == (304, "")
    assert ask(client, "GET", "/page/style.css", If_None_Match=headers["etag"])[0] == 200


@pytest.mark.parametrize("path", ["/page/", "/page/none.js", "/page/..%2fapp.py", "/page/../app.py", "/page/app.py"])
def test_there_is_nothing_else(client, path):
    assert ask(client, "GET", path)[0] == 404


def test_the_page_needs_no_key_but_a_name_of_this_server(edge, client):
    with served(edge, key=KEY) as locked:
        for path in ("/", "/page/page.js"):
            assert ask(locked, "GET", path)[0] == 200
        assert ask(locked, "GET", "/v1/models")[0] == 401
        assert ask(locked, "GET", "/pages")[0] == 401
    assert ask(client, "GET", "/", Host="evil.example")[0] == 403


def test_what_is_shipped_is_what_there_is():
    patterns = pyproject()["tool"]["setuptools"]["package-data"]["edge_client"]
    assert all(any(fnmatch(f"server/page/{name}", pattern) for pattern in patterns) for name in NAMES)
    assert StaticFiles().page == NAMES


def test_no_file_names_another_server():
    for name in NAMES:
        text = (FOLDER / name).read_text(encoding="utf-8").replace(NAMESPACE, "")
        assert re.findall(r"(?i)\b(?:https?|wss?):|\b(?:data|blob):\S|(?<![:\w*/])//\w+\.", text) == [], name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            name
        )


class _Reader(HTMLParser):
    """What a browser's policy, or a person who does not see the page, would stumble over."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.files: list[str] = []
        self.labelled: set[str] = set()
        self.fields: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        self.files += [given[name] for name in ("src", "href") if given.get(name, "#")[0] != "#"]
        if tag == "label" and "for" in given:
            self.labelled.add(given["for"])
        if tag in ("input", "select", "textarea") and given.get("type") != "radio":
            self.fields.append(given["id"])


def test_nothing_is_inline_and_every_field_has_a_label():
    reader = _Reader()
    reader.feed((FOLDER / "index.html").read_text(encoding="utf-8"))
    assert reader.inline == []
    assert {file.removeprefix("/page/") for file in reader.files} <= set(NAMES)
    assert set(reader.fields) <= reader.labelled
    assert len(reader.fields) > 8


def test_modules_import_what_there_is():
    for path in FOLDER.glob("*.js"):
        found = re.findall(r'from "([^"]+)"', path.read_text(encoding="utf-8"))
        assert {name.removeprefix("/page/") for name in found} <= set(NAMES), path.name


def test_the_page_is_told_what_the_server_has_by_itself(client):
    first, *others = client.models.list().data
    own = {"mode": "sprint", "budget": 0.03, "criterion": "typical", "temperature": 0.9, "max_tokens": 8}
    assert first.tandem == own
    assert [other.tandem["mode"] for other in others] == [other.id.partition(":")[2] for other in others]
