"""The switch on the page in a real browser: a text whose link is cut in the middle, and the next one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import pytest
from selenium.webdriver.common.by import By

from edge_client.edge import Edge
from edge_client.target.retry import SystemClock
from edge_client.testing import LoopbackTransport, random_script, scripted_bundle, scripted_edge
from edge_client.testing.tokenizer import byte_tokenizer
from tests.edge_client.cut import BUNDLE, new_target
from tests.edge_client.server.browser import NEEDED, Browser
from tests.edge_client.server.serving import Served, served
from tests.edge_client.server.test_http import KEY, ask

pytestmark = NEEDED
HALT = 12
WRITTEN = ("accepted", "confirmed", "target")


class _Halting(LoopbackTransport):
    """A target that says nothing of a text once it is `HALT` tokens long, until it may."""

    def __init__(self) -> None:
        super().__init__(new_target())
        self.may_go_on = Event()

    def open(self):
        return _HaltingLink(super().open(), self.may_go_on)


class _HaltingLink:
    def __init__(self, inner, may_go_on: Event) -> None:
        self._inner, self._may_go_on, self._received = inner, may_go_on, 0
        self._is_closed = Event()

    def send(self, request) -> None:
        self._inner.send(request)

    def receive(self, timeout: float):
        if self._received >= HALT:
            while not self._may_go_on.wait(0.01):
                if self._is_closed.is_set():
                    break
        self._received += 1
        return self._inner.receive(timeout)

    def close(self) -> None:
        self._is_closed.set()
        self._inner.close()


@contextmanager
def halting(**options: object) -> Iterator[tuple[Served, _Halting]]:
    """A server whose target halts in the middle of each text."""
    transport = _Halting()
    given = {"budget": 0.05, "criterion": "strict", "temperature": 1.0, "max_tokens": 80} | options
    with scripted_edge(bundle=BUNDLE, transport=transport, **given) as edge, served(edge) as client:
        try:
            yield client, transport
        finally:
            transport.may_go_on.set()


def begin(page: Browser, **values: object) -> None:
    """Begin a text, and wait until its target halts."""
    page.set(prompt="Once", seed=3, **values)
    page.shown("go").click()
    page.until(lambda: len(page.tokens()) > 3)


def origins(page: Browser) -> list[str]:
    return [token["origin"] for token in page.tokens()]


def ended(page: Browser) -> bool:
    return page.shown("stop").get_property("disabled")


def test_a_text_whose_link_is_cut_goes_on_alone_and_the_next_is_asked_again(page):
    with halting() as (client, transport):
        page.open(client.address)
        assert page.shown("link").is_displayed()
        assert "all texts of this server" in page.text("cut-hint")
        begin(page, mode="sprint")
        assert "alone" not in origins(page)
        page.shown("cut").click()
        page.until(lambda: page.text("is-cut"))
        page.until(lambda: ended(page))
        assert "alone" in origins(page)
        assert len(page.tokens()) == 80
        assert "target is cut" in page.text("is-cut")
        assert "cut by the switch on the page" in page.text("figures")
        alone = page.driver.find_element(By.CSS_SELECTOR, ".written .alone")
        page.run("arguments[0].dispatchEvent(new PointerEvent('pointerover', { bubbles: true }))", alone)
        assert "as the target was away." in page.text("about")
        assert page.text("about").endswith("The target has not seen it.")

        transport.may_go_on.set()
        page.shown("cut").click()
        page.until(lambda: not page.text("is-cut"))
        page.set(budget=4)
        page.write("Once")
        assert "alone" not in origins(page)
        assert "target" in origins(page)
        assert "budget 1.0\u00a0%" in page.text("figures")


def test_exact_guesses_while_it_is_cut_and_then_writes_what_it_would_have(page):
    with halting(clock=SystemClock()) as (client, transport):
        page.open(client.address)
        begin(page, mode="exact")
        page.shown("cut").click()
        page.until(lambda: origins(page)[-1] == "provisional" and len(page.tokens()) == 80)
        assert not ended(page), "nothing is settled without the target"
        transport.may_go_on.set()
        page.shown("cut").click()
        page.until(lambda: ended(page))
        whole = client.completions.create(model="scripted:exact", prompt="Once", seed=3, temperature=1.0, max_tokens=80)
        assert "".join(token["text"] for token in page.tokens()) == whole.choices[0].text
        assert set(origins(page)) <= {"target", "confirmed"}


def test_another_page_sees_it(page):
    with halting() as (client, _):
        page.open(client.address)
        assert not page.shown("cut").is_selected()
        ask(client, "POST", "/tandem/link", '{"cut": true}', Content_Type="application/json")
        page.run("window.dispatchEvent(new Event('focus'))")
        page.until(lambda: page.shown("cut").is_selected())
        assert "target is cut" in page.text("is-cut")
        page.open(client.address)
        page.until(lambda: page.shown("cut").is_selected())


def test_it_is_cut_only_with_the_key(page):
    with scripted_edge(max_tokens=5) as edge, served(edge, key=KEY) as client:
        page.open(client.address)
        page.shown("cut").click()
        page.until(lambda: not page.shown("cut").is_selected())
        assert "wants its key" in page.shown("error").text
        assert not edge.switch.is_cut
        page.run("sessionStorage.setItem('tandem-key', arguments[0])", KEY)
        page.shown("cut").click()
        page.until(lambda: page.text("is-cut"))
        assert edge.switch.is_cut


def test_without_a_target_there_is_no_switch(page):
    bundle = scripted_bundle(random_script(byte_tokenizer().get_vocab_size()))
    with Edge(bundle=bundle, max_tokens=5) as edge, served(edge) as client:
        page.open(client.address)
        page.write("Once")
        assert not page.shown("link").is_displayed()


@contextmanager
def doubting() -> Iterator[Served]:
    """A server that has learned nothing yet, whose drafts are doubted and often fall."""
    with (
        scripted_edge(bundle=BUNDLE, transport=LoopbackTransport(new_target()), max_tokens=60) as edge,
        served(edge) as client,
    ):
        yield client


def test_a_token_says_what_was_doubted(page):
    with doubting() as client:
        asked = {"mode": "sprint", "origins": True}
        whole = client.completions.create(model="scripted", prompt="Once", seed=2, extra_body={"tandem": asked})
    with doubting() as client:
        page.open(client.address)
        page.set(mode="sprint", seed=2)
        page.write("Once")
    about = page.run(
        """const place = document.getElementById('place');
        return [...document.querySelectorAll('.written .token')].map((_, i) => {
          place.value = i + 1;
          place.dispatchEvent(new Event('input'));
          return document.getElementById('about').textContent;
        });"""
    )
    (report,) = whole.usage.tandem
    for sentence, token in zip(about, report["written"], strict=True):
        told = re.search("drafted here: ([^\u00a0]+)\u00a0%", sentence)
        assert (told is None) == (token["doubt"] is None), sentence
        assert told is None or float(told[1]) / 100 == pytest.approx(token["doubt"], rel=0.06)
    doubts = {
        origin: {token["doubt"] for token in report["written"] if token["origin"] == origin} for origin in WRITTEN
    }
    assert max(doubts["accepted"]) < min(doubts["confirmed"]), "what is doubted is asked"
    assert None in doubts["target"], "nobody doubts what the target writes on by itself"
    assert doubts["target"] != {None}, "and where a draft fell, it was doubted"


def test_a_token_says_what_stood_in_its_place_before(page):
    with doubting() as client:
        page.open(client.address)
    about = page.driver.execute_async_script(
        """const [events, done] = arguments;
        import('/page/text.js').then(({ Text }) => {
          const text = new Text(document.createElement('span'));
          text.take(events);
          done(text.settled.map((_, i) => text.describe(i)));
        });""",
        [
            {"type": "provisional", "text": "a"},
            {"type": "provisional", "text": "b"},
            {"type": "provisional", "text": "c"},
            {"type": "retract", "tokens": 1, "text": "c"},
            {"type": "token", "text": "a", "origin": "confirmed", "doubt": 0.5},
            {"type": "retract", "tokens": 1, "text": "b"},
            {"type": "token", "text": "d", "origin": "target", "doubt": 0.25},
            {"type": "token", "text": "e", "origin": "target", "doubt": None},
            {"type": "provisional", "text": "f"},
            {"type": "retract", "tokens": 1, "text": "f"},
            {"type": "provisional", "text": "g"},
            {"type": "token", "text": "g", "origin": "accepted", "doubt": 0},
        ],
    )
    assert ["stood here" in sentence for sentence in about] == [False, True, False, False]
    assert 'Before that, "b" stood here, not judged yet.' in about[1]
    assert ["drafted here: 50\u00a0%" in about[0], "drafted here: 25\u00a0%" in about[1]] == [True, True]
    assert "drafted here" not in about[2]
    assert "drafted here: 0\u00a0%" in about[3]


@pytest.mark.parametrize("width", [320, 1280])
def test_the_switch_has_room(page, width):
    with halting() as (client, _):
        page.emulate(width, "dark")
        page.open(client.address)
        page.shown("cut").click()
        page.until(lambda: page.text("is-cut"))
        least, whose, _ = page.contrast()
        assert least >= 4.5, whose
        assert page.run("return document.documentElement.scrollWidth") <= width
