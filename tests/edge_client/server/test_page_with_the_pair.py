"""The page in a real browser, over the real server, the embedded pair, and a real target in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_client.edge import Edge
from tests.edge_client.server.browser import NEEDED, Browser
from tests.edge_client.server.serving import Served, served
from tests.serving_target import ServingTarget

pytestmark = NEEDED
PROMPT = "Once upon a time"


@pytest.fixture(scope="module")
def client(pocket_target: ServingTarget) -> Iterator[Served]:
    with Edge(pocket_target.address, memory=False, on_outage="wait") as edge, served(edge) as client:
        yield client


def written(page: Browser) -> str:
    return "".join(token["text"] for token in page.tokens() if token["origin"] != "provisional")


def ended(page: Browser) -> bool:
    return page.shown("stop").get_property("disabled")


def figure(page: Browser, name: str) -> str:
    """What the figures have beside a name; nothing where they have no such name."""
    terms = "[...document.querySelectorAll('#figures dt')].find((term) => term.textContent === arguments[0])"
    return page.run(f"return {terms}?.nextElementSibling.textContent ?? ''", name)


def expected(client: Served, mode: str, tokens: int) -> str:
    model = f"pocket:{mode}"
    return client.completions.create(model=model, prompt=PROMPT, seed=5, max_tokens=tokens).choices[0].text


def test_figures_move_while_a_text_is_written(page, client):
    page.open(client.address)
    page.set(mode="cloud", seed=5, max_tokens=450, price=2, prompt=PROMPT)
    page.shown("go").click()
    page.until(lambda: figure(page, "Calls to the target"))
    assert not ended(page)
    first = int(figure(page, "Calls to the target"))
    page.until(lambda: int(figure(page, "Calls to the target")) > first)
    assert not ended(page), "and not only behind the end"
    assert figure(page, "By typical").startswith("0, 0")
    assert figure(page, "This text"), "money, by the price that was set"
    page.until(lambda: ended(page))
    assert written(page) == expected(client, "cloud", 450)


@pytest.mark.parametrize("mode", ["sprint", "exact"])
def test_the_round_trip_is_told(page, client, mode):
    page.open(client.address)
    page.set(mode=mode, seed=5, max_tokens=60)
    page.write(PROMPT)
    value, unit = figure(page, "Round trip").split()
    assert unit in ("ms", "s")
    assert 0 < float(value) < 1000
    if mode == "exact":
        assert written(page) == expected(client, "cloud", 60)


def test_a_link_that_is_cut_and_mended_in_mid_text_leaves_the_targets_own_text(page, client):
    page.open(client.address)
    page.set(mode="exact", seed=5, max_tokens=450, prompt=PROMPT)
    page.shown("go").click()
    page.until(lambda: len(written(page)) > 20)
    page.shown("cut").click()
    page.until(lambda: page.text("is-cut"))
    assert not ended(page)
    so_far = written(page)
    page.shown("cut").click()
    page.until(lambda: ended(page))
    assert written(page) == expected(client, "cloud", 450)
    assert written(page).startswith(so_far)
