"""Metrics that are looked at when somebody asks for them, because nothing happens when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from cloud_target.telemetry.catalogue import LOOKED_AT

Look = Callable[[], float | None]


class LookedAt(Collector):
    """What is to be seen now, by the keys of `LOOKED_AT`.

    Args:
        looks: each gives the value of one, or None where it cannot be told, which leaves it out, as one that is not
            there is. They are called from the thread that answers whoever asks.
    """

    def __init__(self, looks: Mapping[str, Look]) -> None:
        self._looks = looks

    def collect(self) -> Iterator[Family]:
        """All of them, for a registry."""
        for key, look in self._looks.items():
            if (value := look()) is not None:
                yield LOOKED_AT[key].sample(value)
