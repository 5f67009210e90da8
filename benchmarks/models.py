"""Which architectures are right as a target and as a draft, and which are refused, and why.

    python -m benchmarks.models --keep ../checkpoints
    python -m benchmarks.models --keep ../checkpoints --page docs/models.md

Tiny checkpoints of each architecture (`benchmarks/architectures.py`) are made, and served and exported as any other.
The truth is what transformers computes itself: its eager attention, without a cache, over a text that is longer than
every window. Checkpoints and truths are kept, by version of transformers; a run under another version reads those as
well. The table is made of all results that are kept. The exit status is 1 if anything is wrong in silence.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers

from benchmarks.architectures import ARCHITECTURES, VOCABULARY, Architecture, save
from benchmarks.local_target import run_main
from benchmarks.models_page import write_page
from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.engine.hf.passes import Text
from cloud_target.export.bundle import make_bundle
from edge_client.inference.draft_loading import draft_maker
from shared.errors import TandemError
from shared.manifest import read_manifest

# The text, how much of it is read where texts are shorter, and the parts in which it is fed.
IDS = [(17 + 31 * i * i) % VOCABULARY for i in range(150)]
LENGTHS = (len(IDS), 64)
PARTS = (70, 40, 1, 1, 1, 30, 7)
# Total variation distance of next-token distributions that float32 allows.
EXACT = 1e-5


@dataclass(frozen=True)
class Outcome:
    """What became of a checkpoint: a distance from the truth, perhaps with a reason for it, or why it was refused."""

    distance: float | None = None
    refusal: str | None = None
    apart: str = ""

    def __str__(self) -> str:
        return f"refused: {self.refusal}" if self.distance is None else f"{self.distance:.1e}"

    @property
    def wrong(self) -> bool:
        """Whether something else was computed without a word."""
        return self.distance is not None and not self.distance <= EXACT and not self.apart


# By the length of the text, what comes after each of its tokens, ``float32 [n, vocabulary]``.
Truth = Mapping[str, np.ndarray]


def truth_of(directory: Path) -> Truth:
    """What transformers itself says: eager, and without a cache."""
    kind = json.loads((directory / "config.json").read_text(encoding="utf-8"))["architectures"][0]
    load = getattr(transformers, kind).from_pretrained
    model = load(directory, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.inference_mode():
        said = {n: model(input_ids=torch.tensor([IDS[:n]]), use_cache=False).logits[0, :, :VOCABULARY] for n in LENGTHS}
    return {str(n): probabilities(logits.numpy()) for n, logits in said.items()}


def as_target(directory: Path, truths: Truth) -> float:
    """The largest distance of a target that is fed the text in parts, beside another one."""
    engine = TargetEngine(load_target(str(directory), "cpu", "float32"), memory=64 << 20)
    truth, worst = _within(truths, engine.context), 0.0
    for done, part in _parts(len(truth)):
        beside = IDS[: len(part) + 2][: engine.context]
        with torch.inference_mode():
            logits = engine.passes.run([Text(1, 0, beside), Text(0, done, part)], [0, len(part)]).numpy()
        worst = max(worst, float(_distance(probabilities(logits), truth[done : done + len(part)])))
    return worst


def as_draft(directory: Path, truths: Truth) -> float:
    """The largest distance of a draft that is exported and read on a device, over its candidates."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch, "bundle")
        make_bundle(directory, bundle)
        draft = draft_maker(bundle, read_manifest(bundle))()
        truth, worst = _within(truths, draft.context), 0.0
        for done, part in _parts(len(truth)):
            step = draft.feed(part)
            p = np.exp(step.logits.astype(np.float64) - step.log_normaliser)
            worst = max(worst, 0.5 * float(np.abs(p - truth[done + len(part) - 1][step.ids]).sum()))
        return worst


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Of each row."""
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def outcome(way: Callable[[Path, Truth], float], directory: Path, truths: Truth, apart: str = "") -> Outcome:
    """What becomes of a checkpoint in one way. Anything but a refusal in one sentence is let through."""
    try:
        return Outcome(distance=way(directory, truths), apart=apart)
    except TandemError as error:
        return Outcome(refusal=re.sub(r"\S*/(\S+)", r"\1", str(error)))


def make(architecture: Architecture, directory: Path) -> bool:
    """Write a checkpoint and its truth; False where this transformers has no such architecture."""
    model = architecture.build()
    if model is None:
        return False
    save(model, directory)
    try:
        truths = truth_of(directory)
    except (TypeError, ValueError, RuntimeError):
        truths = {}  # transformers itself does not go on from a text with it, so it must be refused
    np.savez(directory / "truth.npz", **truths)  # type: ignore[arg-type]  # lengths are no keyword of savez
    return True


def examine(architecture: Architecture, keep: Path) -> dict[str, dict[str, Outcome]]:
    """What became of it, by the version that saved the checkpoint and the way it is used."""
    own = keep / transformers.__version__ / architecture.slug
    if not (own / "truth.npz").is_file() and not make(architecture, own):
        return {}
    found = {}
    for saved in sorted(keep.glob(f"*/{architecture.slug}/truth.npz")):
        truth = np.load(saved)
        version, apart = saved.parent.parent.name, architecture.apart if saved.parent != own else ""
        if saved.parent != own and refused(keep / f"{version}.json", architecture):
            continue  # that version does not read its own file as it is, so its truth is none
        found[version] = {"target": outcome(as_target, saved.parent, truth, apart)}
    # An export reads a checkpoint as a target does, so those of other versions are no news there.
    found[transformers.__version__]["draft"] = outcome(as_draft, own, np.load(own / "truth.npz"))
    return found


def refused(results: Path, architecture: Architecture) -> bool:
    """Whether the version of transformers with these results refused a target that it had saved itself."""
    found = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    own = found.get(architecture.name, {}).get(results.stem, {}).get("target", {})
    return own.get("refusal") is not None


def chosen(pattern: str) -> Sequence[Architecture]:
    """The architectures whose names match."""
    return [one for one in ARCHITECTURES if re.search(pattern, one.name, re.IGNORECASE)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, required=True, help="where checkpoints and results are kept")
    parser.add_argument("--only", default="", help="names of architectures, a regular expression (default: all)")
    parser.add_argument("--page", type=Path, help="write the table of all results that are kept there")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    path, wrong = options.keep / f"{transformers.__version__}.json", 0
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for architecture in chosen(options.only):
        found = examine(architecture, options.keep)
        for version, ways in found.items():
            print(
                f"{architecture.name}, saved by {version}: {', '.join(f'{k} {v}' for k, v in ways.items())}", flush=True
            )
            wrong += sum(one.wrong for one in ways.values())
        results[architecture.name] = found
        path.parent.mkdir(parents=True, exist_ok=True)
        # A run under another version may be reading it.
        path.with_suffix(".new").write_text(json.dumps(results, default=vars, indent=1), encoding="utf-8")
        path.with_suffix(".new").replace(path)
    if options.page:
        write_page(options.page, options.keep)
    return int(wrong > 0)


def _within(truths: Truth, context: int) -> np.ndarray:
    return truths[str(max(n for n in LENGTHS if n <= context))]


def _parts(length: int) -> Iterator[tuple[int, list[int]]]:
    """The parts of the text, each with where it begins, up to `length`."""
    for done, end in itertools.pairwise(itertools.accumulate(PARTS, initial=0)):
        if done < length:
            yield done, IDS[done : min(end, length)]


def _distance(p: np.ndarray, q: np.ndarray) -> np.floating:
    return 0.5 * np.abs(p - q).sum(-1).max()


if __name__ == "__main__":
    sys.exit(run_main(main))
