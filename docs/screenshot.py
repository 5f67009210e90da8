"""Take the picture of the page at `/` that README.md shows, in headless Chromium: `python -m docs.screenshot`."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.local_target import local_target, run_main
from shared.errors import TandemError
from tests.edge_client.server.browser import CHROMIUM, DRIVER, Browser, browser

PICTURE = Path(__file__).resolve().parent / "page.png"
WIDTH, HEIGHT = 1280, 955
PROMPT = "Once upon a time, there was a little fox named Tim. Tim wanted to"
# Some of everything: tokens that the device decided on, and that the target confirmed or wrote.
CONTROLS = {"mode": "sprint", "criterion": "strict", "budget": 6, "temperature": 0.7, "max_tokens": 120, "seed": 1}


@contextmanager
def serving(target: str) -> Iterator[str]:
    """`edge-client serve` on a free port, with the embedded bundle; its host:port."""
    command = [sys.executable, "-m", "edge_client", "serve", "--target", target, "--port", "0", "--no-memory"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None, "it is a pipe"
            found = re.search(r" on http://(\S+)/v1,", line := process.stdout.readline())
            if found is None:
                raise TandemError(f"`edge-client serve` did not start; what it said: {line.strip() or 'nothing'}")
            yield found[1]
        finally:
            process.terminate()


def write(page: Browser, address: str) -> None:
    """Write the text, and look at a token of it that the target wrote."""
    page.open(address)
    page.set(**CONTROLS)
    page.write(PROMPT)
    first = page.run(
        "return [...document.querySelectorAll('.written .token')]"
        ".findIndex((token) => token.matches('.target') && token.textContent.trim().length > 2)"
    )
    page.run(
        "const place = document.getElementById('place'); place.value = arguments[0];"
        "place.dispatchEvent(new Event('input')); document.activeElement.blur(); scrollTo(0, 0)",
        first + 1,
    )


def take(page: Browser) -> bytes:
    """What is seen of the page, as PNG."""
    return base64.b64decode(page.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"])


def main() -> int:
    if CHROMIUM is None or DRIVER is None:
        raise TandemError("the picture is taken in Chromium; install it, and its chromedriver")
    with (
        local_target() as target,
        serving(target.address) as address,
        TemporaryDirectory() as home,
        browser(Path(home)) as page,
    ):
        page.emulate(WIDTH, "light", HEIGHT)
        page.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        write(page, address)
        PICTURE.write_bytes(take(page))
    print(f"{PICTURE.name}: {PICTURE.stat().st_size / 1e3:.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
