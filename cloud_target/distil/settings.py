"""What `cloud-target distil` is asked to do."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from shared.errors import InputError

# Minutes of training where nobody says how long.
MINUTES = 60.0
# Tokens of the target's own text, and of the corpus, to learn from.
OWN_TOKENS = 200_000
CORPUS_TOKENS = 200_000
# And of its own text in each of two ways, to measure on.
HELD_OUT_TOKENS = 3_000
# The largest learning rate: weights that were trained already move less than fresh ones.
PEAK = 5e-4
# Of these things the same run may be gone on with on another device, or from elsewhere.
_OF_NO_RUN = ("target", "start", "corpus", "dev", "out", "work", "device")


@dataclass(frozen=True)
class Settings:
    """The command line as values.

    Attributes:
        target: "pocket", a directory, or a Hugging Face id.
        corpus: text files.
        out: the directory for the draft.
        start: what is trained: a directory or id of a smaller model with the target's tokens; None for the target.
        layers: of it that are kept; None for all of another model or of a narrower one, or for a third of the
            target's.
        hidden: numbers that its residual stream keeps; None for all.
        dev: held-out text files; without any, the table is measured on documents of the corpus's last fifth.
        minutes: of training, at most; None for `MINUTES`, or for no limit where `tokens` has one.
        tokens: to train on, at most, read again as often as needed; None for no limit.
        own_tokens, corpus_tokens: text to learn from, the target's own and the corpus's.
        held_out_tokens: that the target writes in each of two ways for the table.
        batch_tokens: of a step.
        peak: largest learning rate.
        evaluations: rows of the table after the first one, evenly over the run.
        work: where finished stages and the state are kept; None for a directory beside the draft.
        chat: the target makes up conversations, to learn from and for the table; the corpus may be empty then.
        seed: of everything random.
        device: that the models run on.
    """

    target: str
    corpus: tuple[Path, ...]
    out: Path
    start: str | None = None
    layers: int | None = None
    hidden: int | None = None
    dev: tuple[Path, ...] = ()
    minutes: float | None = None
    tokens: int | None = None
    own_tokens: int = OWN_TOKENS
    corpus_tokens: int = CORPUS_TOKENS
    held_out_tokens: int = HELD_OUT_TOKENS
    batch_tokens: int = 4096
    peak: float = PEAK
    evaluations: int = 8
    work: Path | None = None
    chat: bool = False
    seed: int = 0
    device: str = "cpu"

    @property
    def place(self) -> Path:
        """Where the draft will be, absolute."""
        return Path(os.path.abspath(self.out))

    @property
    def workplace(self) -> Path:
        """Where finished stages and the state are kept."""
        return self.work or self.place.with_name(f"{self.place.name}.work")

    def determining(self) -> dict[str, Any]:
        """The options that say what comes out, beside the files and models: by the names that they are typed with."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _OF_NO_RUN}
        return {f"--{name.replace('_', '-')}": value for name, value in given.items() if value is not False}

    def command(self, shown: bool = False) -> str:
        """The command line that goes on with this run.

        Args:
            shown: to whoever gets the draft: absolute paths are then told by their last part only.
        """
        word = _last_part if shown else str
        words = ["cloud-target", "distil", "--target", word(self.target), "--out", word(self.out)]
        words += [word(path) for path in self.corpus]
        words += ["--from", word(self.start)] if self.start else []
        words += ["--dev", *(word(path) for path in self.dev)] if self.dev else []
        words += ["--work", word(self.work)] if self.work and not shown else []
        options = self.determining() | {"--device": self.device}
        defaults = {f"--{field.name.replace('_', '-')}": field.default for field in fields(self)}
        for name, value in options.items():
            if value is True:
                words.append(name)
            elif value != defaults[name]:
                words += [name, f"{value:g}" if isinstance(value, float) else str(value)]
        return shlex.join(words)


def check_same_run(old: dict[str, Any], new: dict[str, Any], directory: Path) -> None:
    """Let pass only the run that was begun in a directory.

    Args:
        old: what determines the run that was begun there.
        new: what determines this one.
        directory: for people.

    Raises:
        InputError: they differ; the message names the first option that does.
    """
    for name in [*new, *(name for name in old if name not in new)]:
        before, now = old.get(name), new.get(name)
        if before != now:
            short = max(len(str(before)), len(str(now))) < 30 and not isinstance(now, list)
            words = f"{name} {before}, not {now}" if short else f"another {name}"
            words = words.replace(f"{name} None,", f"no {name},").replace(" not None", " not without")
            raise InputError(
                f"the run in {directory} was begun with {words}; give what it was begun with to go on, or another "
                "--out for a run of its own"
            )


def _last_part(path: str | Path) -> str:
    return Path(path).name if Path(path).expanduser().is_absolute() else str(path)
