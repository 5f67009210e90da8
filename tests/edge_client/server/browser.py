"""A real browser for tests: Chromium without a window, on pages of this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
# The marks of a module that needs them.
NEEDED = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs Chromium and chromedriver"),
]
ALONE = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
)

# Watches the tokens of the page: how many were ever provisional.
WATCH = """
window.seen = 0;
new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach((node) => {
  if (node.classList?.contains('provisional')) window.seen += 1;
}))).observe(document.getElementById('turns'), { childList: true, subtree: true });
"""
# The contrast of each text that is to be seen against what is behind it, as WCAG 2 has it.
CONTRAST = """
const light = (rgb) => {
  const [r, g, b] = rgb.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const read = (color) => color.match(/[\\d.]+/g).map(Number);
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const [r, g, b, alpha = 1] = read(getComputedStyle(element).backgroundColor);
    if (alpha > 0) return [r, g, b];
  }
  return [255, 255, 255];
};
const says = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
const found = [...document.querySelectorAll('body *')].filter((element) =>
  (says(element) || element.matches('input, select, textarea')) && element.checkVisibility()
  && !element.disabled && !element.matches('option, script, .skip'));
return found.map((element) => {
  const [a, b] = [light(read(getComputedStyle(element).color).slice(0, 3)), light(behind(element))];
  return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.outerHTML.slice(0, 80)];
}).sort(([a], [b]) => a - b)[0].concat(found.length);
"""


class Browser:
    """What a person does with the page, and sees of it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Go to the page of a server, as somebody who was never there."""
        self.driver.get("about:blank")  # what one test left there ends
        self.driver.get(f"http://{address}/")
        self.until(lambda: not self.shown("go").get_property("disabled") or self.shown("error").is_displayed())

    def shown(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def text(self, name: str) -> str:
        """All of an element's text, as it stands in the page."""
        return self.run("return document.getElementById(arguments[0]).textContent", name)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def set(self, **values: object) -> None:
        """Give controls a value, as if by hand."""
        for name, value in values.items():
            self.run(
                "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
                "field.dispatchEvent(new Event('input', { bubbles: true }))",
                name,
                str(value),
            )

    def write(self, prompt: str) -> None:
        """Ask for a text, and wait until it has ended."""
        self.set(prompt=prompt)
        self.shown("go").click()
        self.until(lambda: self.shown("stop").get_property("disabled"))

    def tokens(self) -> list[dict[str, str]]:
        """The tokens of the newest text: what each says, and its class."""
        return self.run(
            "const texts = document.querySelectorAll('.written');"
            "return [...texts[texts.length - 1].children].map((token) => ({text: token.textContent,"
            " origin: [...token.classList].filter((name) => !['token', 'looked-at'].includes(name)).join()}))"
        )

    def watch(self) -> None:
        """From now on count tokens that are provisional when they come."""
        self.run(WATCH)

    def seen(self) -> int:
        """How many there were."""
        return self.run("return window.seen")

    def contrast(self) -> tuple[float, str, int]:
        """The least contrast of anything that can be read, whose it is, and of how many."""
        return tuple(self.run(CONTRAST))

    def until(self, is_so: Callable[[], object]) -> None:
        WebDriverWait(self.driver, 20, 0.02, [StaleElementReferenceException]).until(lambda _: is_so())

    def emulate(self, width: int, scheme: str, height: int = 800) -> None:
        """Another screen: so wide and high, and light or dark."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def complaints(self) -> list[str]:
        """What the browser itself has said since the last time: scripts that failed, and what was not let through."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@contextmanager
def browser(home: Path) -> Iterator[Browser]:
    """A browser with a folder of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (*ALONE, f"--user-data-dir={home}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
