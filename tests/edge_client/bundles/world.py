"""A device and a target whose bundles are directories without models: what each writes is a script."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from edge_client.bundles.bundle import Bundle
from edge_client.bundles.pocket import POCKET
from edge_client.bundles.store import Store
from edge_client.edge import Edge
from edge_client.inference.draft import Step
from edge_client.target.client import TargetClient
from edge_client.testing import ManualClock, scripted_bundle
from edge_client.testing.scripts import Script
from shared.draw import Draw
from shared.errors import TargetAway
from shared.manifest import glance
from tests.edge_client.bundles.offers import SCRIPT, FaultyTransport, loaded, target_of

ADDRESS = "gpu.example:50051"


def unsure(step: Step, draw: Draw) -> float:
    """A verifier's function: what the draft itself thinks unlikely is doubted."""
    return 1.0 - math.exp(draw.log_q)


class World:
    """A device, and a target at `ADDRESS` that may be away; nothing of the embedded bundle fits it.

    Attributes:
        target, transport: the target.
        store: of the device.
        told: to the user.
        loads: directories that were loaded.
        connects: how often a way to the target was opened.
        drafts: by the name of a bundle, what its draft thinks; by default what the target does.
    """

    def __init__(self, monkeypatch, tmp_path: Path) -> None:
        self.store = Store(tmp_path / "bundles")
        self.clock = ManualClock()
        self.told: list[str] = []
        self.loads: list[Path] = []
        self.connects = 0
        self.drafts: dict[str, Script] = {}
        self.is_away = False
        self.serve(None)
        monkeypatch.setenv("TANDEM_BUNDLES", str(self.store.place))
        monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "state"))
        monkeypatch.setattr(Bundle, "load", self._load)
        monkeypatch.setattr(TargetClient, "connect", self._connect)

    def serve(self, bundle: Path | None, fingerprint: str = "scripted") -> None:
        self.target = target_of(bundle, fingerprint)
        self.transport = FaultyTransport(self.target)

    def edge(self, **options: object) -> Edge:
        made = {"memory": False, "clock": self.clock, "notify": self.told.append, "max_tokens": 5}
        return Edge(ADDRESS, **made | options)

    def used(self, **options: object) -> str:
        """The name of the bundle that a new edge writes a text with."""
        with self.edge() as edge:
            edge.generate("Tom", **options)
            return edge.bundle.manifest.name

    def _load(self, directory: Path, threads: int = 1) -> Bundle:
        self.loads.append(directory)
        if directory == POCKET:
            return replace(scripted_bundle(SCRIPT), manifest=glance(POCKET))
        bundle = loaded(directory)
        if (draft := self.drafts.get(bundle.manifest.name)) is not None:
            bundle = replace(scripted_bundle(draft, unsure), manifest=bundle.manifest)
        return bundle

    def _connect(self, address: str, *_: object) -> TargetClient:
        self.connects += 1
        if self.is_away:
            raise TargetAway(f"cannot reach the target at {address}")
        return TargetClient(self.transport, address, None, self.clock)
