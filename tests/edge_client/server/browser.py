"""A real browser for tests: Chromium without a window, on pages of this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
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

    def until(self, is_so: Callable[[], object]) -> None:
        WebDriverWait(self.driver, 20, 0.02).until(lambda _: is_so())

    def emulate(self, width: int, scheme: str) -> None:
        """Another screen: so wide, and light or dark."""
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
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
