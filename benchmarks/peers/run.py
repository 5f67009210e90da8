"""The run over one link: all systems are opened over it, and write the same prompts in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.network.profiles import Profile
from benchmarks.peers.assisted import ASSISTED
from benchmarks.peers.autodraft import AUTODRAFT
from benchmarks.peers.metered import MeteredRelay
from benchmarks.peers.rows import Measured
from benchmarks.peers.systems import Pair, Prompt, Session, System
from shared.errors import TandemError

PEERS = (ASSISTED, AUTODRAFT)


@dataclass
class _Opened:
    """A session, the links that it is behind, and what they had carried when it was warm."""

    session: Session
    relays: Sequence[MeteredRelay]
    before: tuple[int, int]


def measure(
    systems: Sequence[System],
    pair: Pair,
    profile: Profile,
    prompts: Sequence[Prompt],
    until: float,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> list[Measured]:
    """What each system has done over this link. One that is not installed, or that fails, is noted and left out.

    Args:
        until: when to begin with no further prompt, on the clock; the first is always written.
        tell: is told, in a few words, what is done now.
    """
    notes: dict[str, str] = {}
    opened: dict[str, _Opened] = {}
    with ExitStack() as stack:
        for system in systems:
            if not system.is_installed:
                notes[system.name] = f"not installed: {system.install}"
                continue
            tell(f"{profile.name}, {system.name}: getting ready")
            try:
                opened[system.name] = _open(stack, system, pair, profile, max(until - clock(), 1.0))
            except TandemError as error:
                notes[system.name] = str(error).rstrip(".")
        tell(f"{profile.name}: writing")
        for number, prompt in enumerate(prompts):
            if number and clock() > until:
                break
            names = list(opened)
            first = number % len(names)
            for name in [*names[first:], *names[:first]]:
                try:
                    opened[name].session.write(prompt)
                except TandemError as error:
                    notes[name] = str(error).rstrip(".")
                    del opened[name]
        return [_measured(system, opened.get(system.name), notes.get(system.name, "")) for system in systems]


def _open(stack: ExitStack, system: System, pair: Pair, profile: Profile, patience: float) -> _Opened:
    relays: list[MeteredRelay] = []

    def link(address: str) -> str:
        relays.append(stack.enter_context(MeteredRelay(profile, address)))
        return relays[-1].address

    session = stack.enter_context(system.open(pair, link, patience))
    return _Opened(session, relays, _carried(relays))


def _measured(system: System, opened: _Opened | None, note: str) -> Measured:
    if opened is None:
        return Measured(system, note=note)
    up, down = (now - before for now, before in zip(_carried(opened.relays), opened.before, strict=True))
    return Measured(system, opened.session.finish(), (up, down))


def _carried(relays: Sequence[MeteredRelay]) -> tuple[int, int]:
    counts = [relay.carried for relay in relays]
    return sum(up for up, _ in counts), sum(down for _, down in counts)
