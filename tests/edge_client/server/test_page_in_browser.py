"""The page at `/` in a real browser, against the real server: what a person sees is what the server says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from threading import Event

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from edge_client.edge import Edge
from edge_client.testing import LoopbackTransport, ScriptedTarget, random_script, scripted_bundle, scripted_edge
from edge_client.testing.scripts import blurred
from edge_client.testing.tokenizer import byte_tokenizer
from shared.errors import TargetUnavailable
from tests.edge_client.late import LateTransport
from tests.edge_client.server.browser import NEEDED
from tests.edge_client.server.serving import Served, served
from tests.edge_client.server.test_http import KEY

pytestmark = NEEDED
MODES = ("sprint", "exact", "local", "cloud", "auto")


@contextmanager
def late() -> Iterator[Served]:
    """A server whose target answers late, so that the device drafts ahead."""
    bundle = scripted_bundle(blurred(target := random_script(byte_tokenizer().get_vocab_size()), 0.5))
    transport = LateTransport(
        LoopbackTransport(ScriptedTarget.of(bundle.manifest, target)), cycle([False, False, True])
    )
    with scripted_edge(bundle=bundle, transport=transport, max_tokens=60) as edge, served(edge) as client:
        yield client


@contextmanager
def fresh(**settings: object) -> Iterator[Served]:
    """A server that has learned nothing yet."""
    with scripted_edge(max_tokens=40) as edge, served(edge, **settings) as client:
        yield client


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "auto"])  # which decides by the time it takes
def test_a_text_is_what_the_server_writes(page, mode):
    asked = {"mode": mode, "budget": 0.05, "criterion": "strict", "origins": True}
    with late() as client:
        whole = client.completions.create(
            model="scripted", prompt="Once", seed=5, temperature=0.7, extra_body={"tandem": asked}
        )
    with late() as client:
        page.open(client.address)
        page.set(mode=mode, seed=5, temperature=0.7)
        if mode == "sprint":
            page.set(budget=6, criterion="strict")
        page.watch()
        page.write("Once")
    (report,) = whole.usage.tandem
    wanted = [{"text": token["text"], "origin": token["origin"]} for token in report["written"]]
    assert page.tokens() == wanted, "and so nothing is provisional any more"
    assert "".join(token["text"] for token in page.tokens()) == whole.choices[0].text
    assert page.run("return document.querySelector('.prompt').textContent") == "Once"
    if mode == "exact":
        assert page.seen() > 10, "drafted tokens were shown before they were judged"
    counts = {origin: str([token["origin"] for token in wanted].count(origin)) for origin in ("accepted", "target")}
    shown = "return document.querySelector(`.count[data-origin=${arguments[0]}]`).textContent"
    assert {origin: page.run(shown, origin) for origin in counts} == counts
    assert f"{len(wanted)} tokens" in page.text("status")
    assert f"Calls to the target{report['calls']}" in page.text("figures")
    assert "Seed5" in page.text("figures")


def test_auto_says_why_it_writes_as_it_does(page):
    with fresh() as client:
        page.open(client.address)
        page.set(mode="auto", seed=1)
        page.write("Once")
        assert len(page.tokens()) == 40
        assert "Why this way" in page.text("figures")


def test_a_token_says_who_decided_and_how_likely_it_is(page):
    with fresh() as client:
        page.open(client.address)
        page.set(mode="cloud", seed=1, max_tokens=9, price=1000000)
        page.write("Once")
        asked = {"mode": "cloud", "origins": True}
        same = client.completions.create(
            model="scripted", prompt="Once", seed=1, max_tokens=9, extra_body={"tandem": asked}
        )
        token = page.driver.find_elements("css selector", ".written .token")[2]
        page.run("arguments[0].dispatchEvent(new PointerEvent('pointerover', { bubbles: true }))", token)
        assert "token 3 of 9: written by the target" in page.text("about")
        assert "looked-at" in token.get_attribute("class")
        from_server = 2.718281828459045 ** same.usage.tandem[0]["written"][2]["logprob"]
        told = float(page.text("about").split("target: ")[1].split("\u00a0")[0]) / 100
        assert told == pytest.approx(from_server, rel=0.1, abs=0.006)
        assert f"This text{9 + same.usage.prompt_tokens}.0" in page.text("figures"), "all was read by the target, once"

        page.shown("place").send_keys(Keys.ARROW_RIGHT)
        assert "token 4 of 9" in page.text("about") == page.shown("place").get_attribute("aria-valuetext")
        page.set(mode="local")
        page.write("Once")
        page.shown("place").send_keys(Keys.HOME, Keys.ARROW_RIGHT)
        assert "accepted by the device" in page.text("about")
        assert "The target has not seen it." in page.text("about")
        assert "Nobody knows" in page.text("figures")


def test_two_turns_of_a_conversation(page):
    with fresh() as client:
        page.open(client.address)
        page.driver.find_element("css selector", "input[value=chat]").click()
        page.set(mode="exact", seed=3, max_tokens=12)
        page.write("A table for two?")
        page.write("At seven.")
        said = page.run("return [...document.querySelectorAll('.said')].map((turn) => turn.textContent)")
        turns: list[dict[str, str]] = []
        for words in ("A table for two?", "At seven."):
            turns.append({"role": "user", "content": words})
            answer = client.chat.completions.create(model="scripted:exact", messages=turns, seed=3, max_tokens=12)
            turns.append({"role": "assistant", "content": answer.choices[0].message.content})
        assert said == [turn["content"] for turn in turns]
        assert page.shown("prompt").get_property("value") == ""
        page.shown("anew").click()
        assert page.run("return document.querySelectorAll('.turn').length") == 0


def test_stop_ends_the_text_here_and_there(page):
    go_on, script = Event(), random_script(byte_tokenizer().get_vocab_size())

    def halting(text):
        if len(text) > 12:
            go_on.wait(60)
        return script(text)

    with scripted_edge(bundle=scripted_bundle(halting), max_tokens=300) as edge, served(edge) as client:
        try:
            page.open(client.address)
            page.set(mode="local", prompt="Once", seed=1)
            page.shown("go").click()
            page.until(lambda: len(page.tokens()) > 4)
            assert "tokens" in page.text("live")
            assert not page.shown("go").is_enabled()
            page.shown("stop").click()
            page.until(lambda: page.text("status").startswith("Stopped after"))
            assert 4 < len(page.tokens()) < 20
            assert page.shown("go").is_enabled()
        finally:
            go_on.set()
        client.wait_until_idle()
        page.shown("place").send_keys(Keys.HOME)
        page.shown("place").send_keys(Keys.ARROW_RIGHT)
        assert "is not known" in page.text("about")


class _Away(LoopbackTransport):
    """A target that cannot be reached."""

    def describe(self, timeout):
        raise TargetUnavailable("cannot reach the target; is it running?")


def test_an_error_is_told_in_the_servers_sentence(page):
    bundle = scripted_bundle(script := random_script(byte_tokenizer().get_vocab_size()))
    with scripted_edge(transport=_Away(ScriptedTarget.of(bundle.manifest, script))) as edge, served(edge) as client:
        page.open(client.address)
        page.driver.find_element("css selector", "input[value=chat]").click()
        page.write("Once")
        assert page.shown("error").text == "cannot reach the target; is it running?"
        assert page.shown("prompt").get_property("value") == "Once", "it may be tried again"
        assert page.run("return document.querySelectorAll('.turn').length") == 0
        page.set(mode="local", max_tokens=5, seed=1)
        page.write("Once")
        assert not page.shown("error").is_displayed()
        assert len(page.tokens()) == 5


def test_a_server_that_is_gone_is_told_of(page):
    with fresh() as client:
        page.open(client.address)
    page.write("Once")
    assert page.shown("error").text == "The server cannot be reached. Is it still running?"
    said: list[str] = []
    page.until(lambda: said.extend(page.complaints()) or len(said) == 2)  # of the text, and of how the server is


def test_the_key_is_asked_for_and_kept_for_the_tab(page):
    with fresh(key=KEY) as client:
        page.open(client.address)
        assert page.shown("key-form").is_displayed()
        assert "wants its key" in page.shown("error").text
        assert page.driver.switch_to.active_element.get_attribute("id") == "key"
        page.shown("key").send_keys("another-key", Keys.ENTER)
        page.until(lambda: page.shown("error").is_displayed())
        page.shown("key").clear()
        page.shown("key").send_keys(KEY, Keys.ENTER)
        page.until(lambda: not page.shown("key-form").is_displayed())
        page.set(mode="exact", seed=1)
        page.write("Once")
        assert len(page.tokens()) == 40
        page.driver.refresh()
        page.until(lambda: page.shown("go").is_enabled())
        assert not page.shown("key-form").is_displayed()
        assert KEY not in page.run("return JSON.stringify(localStorage)")


def test_settings_are_the_servers_until_they_are_changed_and_kept_then(page):
    with scripted_edge(budget=0.03, temperature=0.4, max_tokens=7, mode="exact") as edge, served(edge) as client:
        page.open(client.address)
        values = "return ['mode', 'temperature', 'max_tokens'].map((id) => document.getElementById(id).value)"
        assert page.run(values) == ["exact", "0.4", "7"]
        assert page.text("budget-shown") == "3\u00a0%"
        assert not page.shown("budget").is_enabled(), "nothing is steered in exact"
        modes = "return [...document.getElementById('mode').options].map((option) => option.value)"
        assert set(page.run(modes)) == set(MODES)
        page.set(mode="sprint", temperature=0.9)
        assert page.shown("budget").is_enabled()
        page.driver.refresh()
        page.until(lambda: page.shown("go").is_enabled())
        assert page.run(values) == ["sprint", "0.9", "7"]
        page.shown("reset").click()
        assert page.run(values) == ["exact", "0.4", "7"]


def test_without_a_target_there_is_only_local(page):
    bundle = scripted_bundle(random_script(byte_tokenizer().get_vocab_size()))
    with Edge(bundle=bundle, max_tokens=5) as edge, served(edge) as client:
        page.open(client.address)
        assert page.run("return [...document.getElementById('mode').options].map((option) => option.value)") == [
            "local"
        ]
        page.set(seed=1)
        page.write("Once")
        assert len(page.tokens()) == 5


def test_by_keyboard_alone(page):
    with fresh() as client:
        page.open(client.address)

        def press(*keys: str) -> None:
            ActionChains(page.driver).send_keys(*keys).perform()

        def here() -> str:
            return page.driver.switch_to.active_element.get_attribute("id")

        met = []
        while "price" not in met:
            press(Keys.TAB)
            met.append(here() or page.driver.switch_to.active_element.get_attribute("name"))
            outline = "return getComputedStyle(document.activeElement).outlineStyle"
            assert page.run(outline) != "none", f"one sees where one is: {met[-1]}"
            assert len(met) < 30
        wanted = ["kind", "prompt", "go", "mode", "budget", "criterion", "temperature", "max_tokens", "seed", "price"]
        assert [name for name in met if name in wanted] == wanted

        page.shown("prompt").click()
        page.set(prompt="", mode="exact", seed=1)
        press("Once")
        ActionChains(page.driver).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
        page.until(lambda: len(page.tokens()) == 40)
        ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB, Keys.TAB).key_up(Keys.SHIFT).perform()
        assert here() == "place"
        press(Keys.END)
        assert "token 40 of 40" in page.text("about")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_on_a_narrow_screen_and_a_wide_one_all_can_be_read(page, scheme, width):
    with late() as client:
        page.emulate(width, scheme)
        page.open(client.address)
        page.set(price=3, budget=6, criterion="strict")
        page.write("Once " * 30 + "W" * 120)
        page.set(mode="exact")
        wide = page.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1] == width or width == 1280
        least, whose, count = page.contrast()
        assert least >= 4.5, whose
        assert count > 50
        sides = page.run(
            "return ['turns', 'settings'].map((id) => document.getElementById(id).getBoundingClientRect().top)"
        )
        assert (sides[1] > sides[0] + 100) == (width < 900), "one column on a phone, two on a desk"


def test_what_a_screen_reader_needs_is_there(page):
    with late() as client:
        page.open(client.address)
        page.write("Once")
        assert page.run("return document.documentElement.lang") == "en"
        assert page.run("return document.title") == "Tandem"
        for landmark in ("header", "main", "aside[aria-label]", "h1"):
            assert page.run("return document.querySelectorAll(arguments[0]).length", landmark) == 1
        unnamed = page.run(
            "return [...document.querySelectorAll('input, select, textarea')].filter((field) => !field.labels.length)"
            ".map((field) => field.id)"
        )
        assert unnamed == []
        assert page.run("return [...document.querySelectorAll('button')].every((button) => button.textContent.trim())")
        assert page.shown("spoken").get_attribute("aria-live") == "polite"
        assert page.shown("error").get_attribute("role") == "alert"
        watched = page.run(
            "return document.querySelector('.written').closest('[aria-live], [role=log], [role=status]')"
        )
        assert watched is None, "tokens are not read out one by one"
        styles = "return getComputedStyle(document.querySelector(arguments[0])).textDecorationStyle"
        lines = [page.run(styles, f"#legend .{origin}") for origin in ("confirmed", "target")]
        assert lines == ["dotted", "solid"], "colours are not the only sign"


def test_settled_text_is_spoken_and_drafts_are_not(page):
    with late() as client:
        page.open(client.address)
        page.set(mode="exact", seed=2)
        page.run("""const place = document.getElementById('spoken');
        window.parts = [];
        const own = Object.getOwnPropertyDescriptor(Node.prototype, 'textContent');
        Object.defineProperty(place, 'textContent', {
          get() { return own.get.call(this); }, set(text) { window.parts.push(text); own.set.call(this, text); },
        });""")
        page.write("Once")
        assert "".join(page.run("return window.parts")) == "".join(token["text"] for token in page.tokens())


def test_drafts_are_shown_until_they_are_judged_or_taken_back(page):
    with fresh() as client:
        page.open(client.address)
        after = page.driver.execute_async_script(
            """const [steps, done] = arguments;
            import('/page/text.js').then(({ Text }) => {
              const text = new Text(document.createElement('span'));
              done(steps.map((event) => {
                text.take([event]);
                return [...text.place.children].map((token) => token.textContent + token.className.slice(5)).join();
              }));
            });""",
            [
                {"type": "provisional", "text": "a"},
                {"type": "provisional", "text": "b"},
                {"type": "provisional", "text": "c"},
                {"type": "token", "text": "a", "origin": "confirmed"},
                {"type": "retract", "tokens": 1, "text": "c"},
                {"type": "retract", "tokens": 1, "text": "b"},
                {"type": "token", "text": "d", "origin": "target"},
            ],
        )
        assert after == [
            "a provisional",
            "a provisional,b provisional",
            "a provisional,b provisional,c provisional",
            "a confirmed,b provisional,c provisional",
            "a confirmed,b provisional",
            "a confirmed",
            "a confirmed,d target",
        ]


def test_what_is_asked_is_what_the_controls_say(page):
    with fresh() as client:
        page.open(client.address)
        page.run(
            "const own = window.fetch; window.bodies = [];"
            "window.fetch = (path, options) => { window.bodies.push(JSON.parse(options.body));"
            " return own(path, options); }"
        )
        page.set(mode="sprint", budget=3, criterion="strict", temperature=0.55, max_tokens=7, seed=9)
        page.write("Once")
        page.set(mode="local", max_tokens="", seed="")
        page.write("Twice")
        steered, plain = page.run("return window.bodies")
        told = {"events": True, "origins": True}
        both = {"model": "scripted", "temperature": 0.55, "stream": True, "stream_options": {"include_usage": True}}
        budget = {"mode": "sprint", "budget": 0.005, "criterion": "strict"}
        assert steered == both | {"prompt": "Once", "max_tokens": 7, "seed": 9, "tandem": budget | told}
        assert plain == both | {"prompt": "Twice", "tandem": {"mode": "local"} | told}
        page.set(max_tokens=0)
        page.shown("go").click()
        assert len(page.run("return window.bodies")) == 2, "what cannot be used is not asked"
        assert page.driver.switch_to.active_element.get_attribute("id") == "max_tokens"
