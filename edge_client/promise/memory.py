"""What a device remembers of its audits from one run to the next, so that a promise outlives a text.

One JSON file a bundle, in the user's own state directory, since bundles may be shared or read-only:
`$TANDEM_STATE`, else `$XDG_STATE_HOME/tandem`, else `~/.local/state/tandem`. It holds counts, never text.
`edge-client verifier reset` removes it.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from edge_client.decoding.generation import Settings
from edge_client.decoding.record import Summary
from edge_client.promise.budget import Budget, Steering
from edge_client.promise.learning import INPUTS, Correction, Learner
from shared.bundle import Manifest
from shared.config import Coupling, Criterion
from shared.errors import DamagedMemory, InputError

FORMAT = 1
# Every promise has an entry; the least recently used ones are forgotten.
MOST_ENTRIES = 64


@dataclass(frozen=True)
class Promise:
    """What one budget is about, with everything that moves its threshold: the same promise, made again.

    Attributes:
        criterion, budget: as the user set them.
        temperature, top_p, top_k, coupling: how tokens are drawn.
        target: fingerprint of the target that judges.
        learns: whether the verifier is corrected by what it learned.
    """

    criterion: Criterion
    budget: float
    temperature: float
    top_p: float
    top_k: int
    coupling: Coupling
    target: str
    learns: bool

    @classmethod
    def of(cls, settings: Settings, target: str, learns: bool = False) -> Promise:
        """The promise of one run."""
        how = settings.sampling
        drawn = how.temperature, how.top_p, how.top_k, settings.coupling
        return cls(settings.criterion, settings.budget, *drawn, target, learns)


@dataclass(frozen=True)
class Entry:
    """What audits have shown of one promise.

    Attributes:
        promise: what it is about.
        steering: where its budget stands.
        texts: written so far.
        shown, known, asked: tokens: shown, of them seen by the target, and asked about.
        off_typical, off_strict: accepted tokens off-target by each criterion.
        nll: of the known tokens under the target, summed, nats.
        correction: of the verifier's head, where it has been allowed to learn.
    """

    promise: Promise
    steering: Steering
    texts: int = 0
    shown: int = 0
    known: int = 0
    asked: int = 0
    off_typical: int = 0
    off_strict: int = 0
    nll: float = 0.0
    correction: Correction | None = None

    def after(self, steering: Steering, summary: Summary, correction: Correction | None) -> Entry:
        """With one more text."""
        return replace(
            self,
            steering=steering,
            texts=self.texts + 1,
            shown=self.shown + summary.tokens,
            known=self.known + summary.known,
            asked=self.asked + summary.asked,
            off_typical=self.off_typical + summary.off_typical,
            off_strict=self.off_strict + summary.off_strict,
            nll=self.nll + summary.known * (summary.target_nll or 0.0),
            correction=correction or self.correction,
        )


@dataclass
class Memory:
    """The entries of one bundle, oldest use first.

    Attributes:
        path: of the file; it need not exist.
        entries: by promise.
    """

    path: Path
    entries: dict[Promise, Entry] = field(default_factory=dict)
    _told: dict[Promise, Steering] = field(default_factory=dict, init=False)  # of each budget, what the file knows

    @classmethod
    def at(cls, manifest: Manifest, directory: Path | None = None) -> Memory:
        """An empty memory in the bundle's place; reads nothing."""
        return cls((directory or state_directory()) / f"{manifest.identity}.json")

    @classmethod
    def open(cls, manifest: Manifest, directory: Path | None = None) -> Memory:
        """What is remembered of a bundle; empty where there is nothing.

        Raises:
            DamagedMemory: the file is damaged, or of another version.
            InputError: it cannot be read.
        """
        memory = cls.at(manifest, directory)
        try:
            memory.entries = memory._read()
        except OSError as error:
            raise InputError(
                f"cannot read {memory.path} ({error.strerror}); see whose it is, or set TANDEM_STATE"
            ) from error
        return memory

    def budget(self, promise: Promise, threshold: float) -> Budget:
        """A budget that goes on from earlier runs, or begins at `threshold` if there were none."""
        entry = self.entries.get(promise)
        budget = Budget.resume(promise.budget, entry.steering) if entry else Budget(promise.budget, threshold)
        self._told[promise] = budget.steering
        return budget

    def learner(self, promise: Promise) -> Learner:
        """A learner that goes on from earlier runs, or knows nothing yet."""
        entry = self.entries.get(promise)
        return Learner(entry.correction if entry else None)

    def add(self, promise: Promise, summary: Summary, budget: Budget, learner: Learner | None = None) -> None:
        """Remember one more text and what it taught, beside whatever other runs have remembered meanwhile.

        What other runs were taught about the same promise counts as well: errors add up, whoever saw them.

        Args:
            budget: as `self.budget` gave it out, and as it stands after the text.

        Raises:
            OSError: it cannot be written; what was there is as it was.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(self.path.with_suffix(".lock")):
            self.entries = self._read()
            told = self._told.get(promise, budget.steering)
            entry = self.entries.pop(promise, None) or Entry(promise, told)
            steering = Budget.resume(promise.budget, entry.steering.moved(told, budget.steering)).steering
            correction = learner.correction if learner else None
            if correction and entry.correction and entry.correction.tokens > correction.tokens:
                correction = entry.correction
            self.entries[promise] = entry.after(steering, summary, correction)
            for oldest in list(self.entries)[:-MOST_ENTRIES]:
                del self.entries[oldest]
            self._write()
        self._told[promise] = budget.steering

    def set_aside(self) -> None:
        """Give a damaged file another name, and begin anew.

        Raises:
            OSError: it cannot be renamed.
        """
        self.entries.clear()
        self.path.replace(self.path.with_suffix(".damaged"))

    def forget(self) -> bool:
        """Remove the file; returns whether there was one.

        Raises:
            InputError: it cannot be removed.
        """
        self.entries.clear()
        existed = self.path.is_file()
        try:
            if existed:
                self.path.unlink()
                self.path.with_suffix(".lock").unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"cannot remove {self.path} ({error.strerror}); remove it by hand") from error
        return existed

    def _read(self) -> dict[Promise, Entry]:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise ValueError(f"its format is {data['format']}, not {FORMAT}")
            entries = [_entry(item) for item in data["entries"]]
            return {entry.promise: entry for entry in entries}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise DamagedMemory(f"what was remembered of earlier runs in {self.path} is damaged ({error})") from error

    def _write(self) -> None:
        data = {"format": FORMAT, "entries": [asdict(entry) for entry in self.entries.values()]}
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix=".", delete=False, encoding="utf-8") as file:
            try:
                file.write(json.dumps(data, indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
                os.replace(file.name, self.path)
            except BaseException:
                os.unlink(file.name)
                raise


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock against other runs, where the system has such locks."""
    with open(path, "w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        except ImportError:
            pass  # not a Unix: the last of two runs at once wins
        yield


def state_directory() -> Path:
    """Where programs of this user keep what they learn.

    Raises:
        InputError: the user has no home.
    """
    if given := os.environ.get("TANDEM_STATE") or os.environ.get("XDG_STATE_HOME"):
        return Path(given) if os.environ.get("TANDEM_STATE") else Path(given) / "tandem"
    try:
        return Path.home() / ".local" / "state" / "tandem"
    except RuntimeError as error:
        raise InputError("this user has no home directory to remember audits in; set TANDEM_STATE") from error


def _entry(data: dict) -> Entry:
    """An entry from its JSON form.

    Raises:
        ValueError, TypeError, KeyError: it is not one.
    """
    promise = Promise(**data.pop("promise"))
    steering = Steering(**data.pop("steering"))
    known = data.pop("correction")
    correction = known and Correction(
        **known | {"weights": tuple(known["weights"]), "squares": tuple(known["squares"])}
    )
    promise = replace(promise, criterion=Criterion(promise.criterion), coupling=Coupling(promise.coupling))
    if not (isinstance(promise.target, str) and isinstance(promise.learns, bool)):
        raise ValueError("a promise is none")
    entry = Entry(promise, steering, **data, correction=correction)
    counts = [promise.top_k, steering.tokens, *(value for name, value in data.items() if name != "nll")]
    numbers = [steering.log_odds, steering.debt, entry.nll, promise.budget, promise.temperature, promise.top_p]
    if correction:
        counts += [correction.tokens, correction.reverted]
        numbers += [correction.advantage, *correction.weights, *correction.squares]
        if not len(correction.weights) == len(correction.squares) == INPUTS or min(correction.squares) <= 0:
            raise ValueError("a correction does not fit the verifier")
    if not all(type(value) is int and 0 <= value < 1 << 53 for value in counts):
        raise ValueError("a count is missing or out of range")
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers):
        raise ValueError("a number is missing or not finite")
    return entry
