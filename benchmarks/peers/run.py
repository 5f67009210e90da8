"""The run: over each link all systems are opened, and write the same prompts in turn."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.network.profiles import Profile
from benchmarks.peers.assisted import ASSISTED
from benchmarks.peers.autodraft import AUTODRAFT
from benchmarks.peers.checkpoint import write_checkpoint
from benchmarks.peers.metered import MeteredRelay
from benchmarks.peers.ours import ours
from benchmarks.peers.reference import references
from benchmarks.peers.rows import Measured, Row, rows_of
from benchmarks.peers.systems import Pair, Prompt, Session, System
from benchmarks.report.paced import PacedTarget
from cloud_target.engine.files import find_directory
from edge_client.bundles.bundle import Bundle
from shared.errors import TandemError
from shared.tokenizer import encode_prompt

PEERS = (ASSISTED, AUTODRAFT)


def compare(
    bundle: Path,
    target: tuple[str, PacedTarget],
    draft: Path | None,
    openings: Sequence[Sequence[int]],
    tokens: int,
    links: Sequence[Profile],
    minutes: float,
    tell: Callable[[str], None],
) -> list[Row]:
    """Ours and the peers over each of these links.

    Args:
        bundle: of the draft.
        target: as `cloud-target serve` takes it, and as it runs.
        draft: the checkpoint that the bundle was made of; None to make one of the bundle's graph.
        openings: token ids of prompts.
        tokens: most tokens a text.
        minutes: a link.
        tell: is told, in a few words, what is done now.

    Raises:
        InputError: there is no draft, and none can be made.
    """
    loaded = Bundle.load(bundle)
    tokenizer = loaded.tokenizer
    name, running = target
    with _checkpoint(bundle, draft) as checkpoint:
        pair = Pair(bundle, find_directory(name), checkpoint, tokens, loaded.manifest.end_ids)
        # Some take text only, so everybody gets what a tokenizer makes of the text.
        texts = [tokenizer.decode(list(ids)) for ids in openings]
        prompts = [Prompt(text, encode_prompt(tokenizer, text)) for text in texts]
        tell("what the target writes alone")
        own = references(pair, prompts)
        rows: list[Row] = []
        for profile in links:
            until = time.monotonic() + 60 * minutes
            measured = measure([*ours(running), *PEERS], pair, profile, prompts, until, tell)
            rows += rows_of(profile.name, 1e3 * profile.round_trip, measured, own, tokenizer.decode)
    return rows


def measure(
    systems: Sequence[System],
    pair: Pair,
    profile: Profile,
    prompts: Sequence[Prompt],
    until: float,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> list[Measured]:
    """What each system does over this link. A peer that is not installed, or that fails, is noted and left out.

    Args:
        until: when a peer must be ready, and when to begin with no further prompt, on the clock; the first is always
            written.
    """
    with ExitStack() as stack:
        runs = [_Run(system) for system in systems]
        for run in runs:
            tell(f"{profile.name}: {run.system.name} gets ready")
            run.begin(stack, pair, profile, max(until - clock(), 1.0))
        tell(f"{profile.name}: all write")
        for number, prompt in enumerate(prompts):
            if number and clock() > until:
                break
            first = number % len(runs)  # whoever is first may find the machine, or the link, in another state
            for run in [*runs[first:], *runs[:first]]:
                run.write(prompt)
        return [run.end() for run in runs]


@dataclass
class _Run:
    """A system over a link, until something goes wrong with it.

    Attributes:
        relays: of the link.
        before: bytes that these had carried when it was warm.
        note: what went wrong.
    """

    system: System
    session: Session | None = None
    relays: list[MeteredRelay] = field(default_factory=list)
    before: tuple[int, int] = (0, 0)
    note: str = ""

    def begin(self, stack: ExitStack, pair: Pair, profile: Profile, patience: float) -> None:
        if not self.system.is_installed:
            self.note = f"not installed: {self.system.install}"
            return

        def link(address: str) -> str:
            self.relays.append(stack.enter_context(MeteredRelay(profile, address)))
            return self.relays[-1].address

        with self._noting():
            self.session = stack.enter_context(self.system.open(pair, link, patience))
            self.before = self._carried()

    def write(self, prompt: Prompt) -> None:
        with self._noting():
            if self.session is not None:
                self.session.write(prompt)

    def end(self) -> Measured:
        with self._noting():
            if self.session is not None:
                up, down = (now - before for now, before in zip(self._carried(), self.before, strict=True))
                return Measured(self.system, self.session.finish(), (up, down))
        return Measured(self.system, note=self.note)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except TandemError as error:
            if self.system.is_ours:
                raise
            self.session, self.note = None, str(error).rstrip(".")

    def _carried(self) -> tuple[int, int]:
        counts = [relay.carried for relay in self.relays]
        return sum(up for up, _ in counts), sum(down for _, down in counts)


@contextmanager
def _checkpoint(bundle: Path, draft: Path | None) -> Iterator[Path]:
    if draft is not None:
        yield draft
        return
    with tempfile.TemporaryDirectory(prefix="tandem-draft-") as folder:
        yield write_checkpoint(bundle, Path(folder))
