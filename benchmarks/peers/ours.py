"""Our modes, and the plain stream of the cloud, as systems among others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from benchmarks.peers.systems import Link, Pair, Prompt, Session, System, Written
from benchmarks.report.device import Device
from benchmarks.report.paced import PacedTarget
from edge_client.bundles.bundle import Bundle
from edge_client.settings import Settings
from shared.config import Mode

CLOUD = "cloud"
_WARMING = 8  # tokens


class _Ours:
    """A device over a link.

    Args:
        decode: from ids to text.
    """

    def __init__(self, device: Device, target: PacedTarget, settings: Settings, decode: Callable[[list[int]], str]):
        self._device, self._target, self._settings, self._decode = device, target, settings, decode
        self._written: list[Written] = []

    def write(self, prompt: Prompt) -> None:
        before = self._target.work
        text = self._device.write(prompt.ids, self._settings)
        passes = (self._target.work - before).passes
        self._written.append(Written(self._decode(text.ids), len(text.ids), text.total_ms, passes))

    def finish(self) -> list[Written]:
        return self._written


def ours(target: PacedTarget) -> list[System]:
    """The default of `sprint`, `exact` and the plain stream, of this target, which counts its passes."""
    usual = Settings()

    def opened(mode: Mode) -> Callable[[Pair, Link, float], AbstractContextManager[Session]]:
        @contextmanager
        def open_(pair: Pair, link: Link, _: float) -> Iterator[Session]:
            settings = Settings(mode=mode, temperature=0.0, max_tokens=pair.tokens)
            tokenizer = Bundle.load(pair.bundle).tokenizer
            with Device(pair.bundle) as device:
                device.connect(link(target.address))
                device.write([pair.end_ids[0]], settings.override(max_tokens=_WARMING))
                yield _Ours(device, target, settings, tokenizer.decode)

        return open_

    return [
        System(
            f"sprint, {usual.criterion} {100 * usual.budget:g} %",
            "ours; the draft's text, the target asked where in doubt",
            opened(Mode.SPRINT),
            is_ours=True,
        ),
        System("exact", "ours; the target's own text, the draft's tokens as guesses", opened(Mode.EXACT), is_ours=True),
        System(CLOUD, "the plain stream: the target writes alone", opened(Mode.CLOUD), is_ours=True),
    ]
