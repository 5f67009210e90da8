"""A browser for all tests of the page in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.edge_client.server.browser import Browser, browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def page(chromium: Browser) -> Iterator[Browser]:
    chromium.emulate(1280, "light")
    yield chromium
    said = [line for line in chromium.complaints() if "status of" not in line]  # a refusal is told there, too
    assert said == [], "the browser has nothing to complain of"
