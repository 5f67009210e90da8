"""What `cloud-target prepare` is asked to do."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

# Draft steps to train on, about.
ROWS = 300_000
# Tokens that the target writes for them.
OWN_TOKENS = 120_000
# Minutes of the target's writing and reading that a first bundle of a long run takes.
FIRST_AFTER = 10.0


@dataclass(frozen=True)
class Settings:
    """The command line as values.

    Attributes:
        target: "pocket", a directory, or a Hugging Face id.
        draft: a directory or id of a checkpoint, or a bundle whose draft is kept.
        corpus, dev: text files; without `dev`, calibration and report take documents of the corpus.
        chat: the target makes up conversations, in the place of a corpus.
        unseen: of the corpus take only the fifth that `cloud-target train` leaves out.
        out: the bundle.
        work: where finished stages are kept; None for a directory beside the bundle.
        dtype, kind, context: of the draft's graph; None for the default of `make_bundle`.
        name: of the bundle; None for the draft's.
        domain: of the verifier that is added to the bundle; None makes a bundle with a general one.
        rows: draft steps to train the verifier on, about.
        own_tokens: that the target writes for them; it writes as many again, and more, to calibrate and to check.
        first_after: minutes after which there is a first bundle, if all takes much longer; 0 for none.
        part: of the whole that this is: below 1 for a first bundle.
        seed: of everything random.
        device: that the target runs on.
        target_dtype: of its forward pass; None for what `serve` would take there, or, with `domain`, for the bundle's.
    """

    target: str
    draft: str
    corpus: tuple[Path, ...]
    out: Path
    dev: tuple[Path, ...] = ()
    chat: bool = False
    unseen: bool = False
    work: Path | None = None
    dtype: str | None = None
    kind: str | None = None
    context: int | None = None
    name: str | None = None
    domain: str | None = None
    rows: int = ROWS
    own_tokens: int = OWN_TOKENS
    first_after: float = FIRST_AFTER
    part: float = 1.0
    seed: int = 0
    device: str = "cpu"
    target_dtype: str | None = None

    @property
    def place(self) -> Path:
        """Where the bundle will be: absolute, so that it has a name even if `out` is "."."""
        return Path(os.path.abspath(self.out))

    @property
    def workplace(self) -> Path:
        """Where finished stages are kept."""
        domain = f".{self.domain}" if self.domain else ""
        return self.work or self.place.with_name(f"{self.place.name}{domain}.work")

    @property
    def page(self) -> str:
        """What the report's files in the bundle are called, without their endings."""
        return f"report-{self.domain}" if self.domain else "report"

    def command(self) -> str:
        """The command line, to be shown to whoever gets the bundle: absolute paths by their last part only."""
        words = ["cloud-target", "prepare", "--target", _shown(self.target), "--draft", _shown(self.draft)]
        words += ["--chat"] if self.chat else ["--corpus", *map(_shown, self.corpus)]
        words += ["--dev", *map(_shown, self.dev)] if self.dev else []
        words += ["--unseen"] if self.unseen else []
        words += ["--out", _shown(self.out)]
        for name in ("dtype", "kind", "context", "name", "domain", "rows", "own_tokens", "seed", "target_dtype"):
            value = getattr(self, name)
            if value != type(self).__dataclass_fields__[name].default:
                words += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join(words)


def _shown(path: str | Path) -> str:
    return Path(path).name if Path(path).expanduser().is_absolute() else str(path)
