"""What a running target offers to Prometheus, as whoever asks its metrics port sees it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.cloud_target.server.process import PATIENCE, ServerProcess

# The proxy of an environment has no business here.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Page:
    """One answer of a metrics port."""

    def __init__(self, address: str) -> None:
        with _OPENER.open(f"http://{address}/metrics", timeout=20) as page:
            families = text_string_to_metric_families(page.read().decode())
            self.samples = [sample for family in families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Of one series; all that are told apart by other labels are summed up."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    @property
    def names(self) -> set[str]:
        """Of all series that there are."""
        return {sample.name for sample in self.samples}


class WatchedProcess(ServerProcess):
    """`tests/cloud_target/server/watched_server.py` with these settings."""

    def __init__(self, **settings: Any) -> None:
        super().__init__("tests.cloud_target.server.watched_server", json.dumps(settings))
        self.address, self.metrics = self.address.split()

    def page(self) -> Page:
        """What its metrics are now."""
        return Page(self.metrics)

    def page_when(self, condition: Callable[[Page], bool]) -> Page:
        """The first page of which that is true."""
        end = time.monotonic() + PATIENCE
        while not condition(page := self.page()):
            assert time.monotonic() < end, sorted(page.samples)
            time.sleep(0.02)
        return page
