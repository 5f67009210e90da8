"""What axe-core, Deque's accessibility checker, finds on the page in a real browser: nothing serious."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from edge_client.testing import LoopbackTransport, scripted_edge
from tests.edge_client.cut import BUNDLE, new_target
from tests.edge_client.server.browser import NEEDED, Browser
from tests.edge_client.server.serving import served
from tests.edge_client.server.test_http import KEY

pytestmark = NEEDED
SCREENS = [(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")]
RUN = """const done = arguments[0];
axe.run(document, { resultTypes: ['violations'] }).then(done, (error) => done(`${error}`));"""


def findings(page: Browser) -> list[dict[str, Any]]:
    """What it finds: of each rule that is broken its name, its weight, and where."""
    pytest.importorskip("axe_playwright_python", reason="needs the axe.min.js of axe-playwright-python")
    page.run(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = page.driver.execute_async_script(RUN)
    assert isinstance(found, dict), found
    assert len(found["passes"]) > 15, "it did look"
    return [
        {"rule": broken["id"], "impact": broken["impact"], "where": [node["html"] for node in broken["nodes"]]}
        for broken in found["violations"]
    ]


def serious(page: Browser) -> list[dict[str, Any]]:
    return [finding for finding in findings(page) if finding["impact"] in ("serious", "critical")]


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_text_with_the_link_cut_and_whole(page, width, scheme):
    with (
        scripted_edge(bundle=BUNDLE, transport=LoopbackTransport(new_target()), max_tokens=60) as edge,
        served(edge) as client,
    ):
        page.emulate(width, scheme)
        page.open(client.address)
        assert serious(page) == []
        page.set(mode="sprint", seed=2, price=3)
        page.write("Once")
        page.run(
            "const place = document.getElementById('place'); place.value = 3; place.dispatchEvent(new Event('input'))"
        )
        assert {"accepted", "target"} <= {token["origin"] for token in page.tokens()}
        assert serious(page) == []
        page.shown("cut").click()
        page.until(lambda: page.text("is-cut"))
        page.write("Once")
        assert "alone" in {token["origin"] for token in page.tokens()}
        assert serious(page) == []


@pytest.mark.parametrize(("width", "scheme"), SCREENS[:1])
def test_a_conversation(page, width, scheme):
    with (
        scripted_edge(bundle=BUNDLE, transport=LoopbackTransport(new_target()), max_tokens=20) as edge,
        served(edge) as client,
    ):
        page.emulate(width, scheme)
        page.open(client.address)
        page.driver.find_element("css selector", "input[value=chat]").click()
        page.set(mode="exact", seed=1)
        page.write("A table for two?")
        assert serious(page) == []


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_an_error_and_the_key(page, width, scheme):
    with scripted_edge(max_tokens=5) as edge, served(edge, key=KEY) as client:
        page.emulate(width, scheme)
        page.open(client.address)
        assert page.shown("error").is_displayed()
        assert page.shown("key-form").is_displayed()
        assert serious(page) == []


def test_it_does_find_what_is_wrong(page):
    with scripted_edge(max_tokens=5) as edge, served(edge) as client:
        page.open(client.address)
        page.run("document.querySelector('label[for=seed]').remove(); document.getElementById('seed').placeholder = ''")
        page.run("document.documentElement.removeAttribute('lang')")
        assert {"label", "html-has-lang"} <= {finding["rule"] for finding in serious(page)}
