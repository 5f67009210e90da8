"""A bundle: the directory that an edge device needs.

draft.onnx      the draft's graph
verifier.onnx   the accept/ask head: features float32 [1, SCALARS + hidden] -> doubt float32 [1, 2]
tokenizer.json
manifest.json   what they are, whom they were made for, and how the verifier is calibrated
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shared.config import Criterion
from shared.errors import BundleError
from shared.identity import file_digest

FORMAT = 1
MOST_CANDIDATES = 4096
FILES = ("draft.onnx", "verifier.onnx", "tokenizer.json")
# Columns of the verifier's output: the probability that the drawn token is off-target, by each criterion.
DOUBT_COLUMNS = (Criterion.TYPICAL, Criterion.STRICT)


@dataclass(frozen=True)
class DraftGraph:
    """How to run `draft.onnx`.

    Attributes:
        kind: "shared-buffer" (GroupQueryAttention, past and present in one buffer) or "concat" (past grows).
        layers, kv_heads, head_size, hidden: of the draft.
        candidates: K, how many of the likeliest tokens the graph returns.
        dtype: of the weights, "float32" or "int8".
    """

    kind: str
    layers: int
    kv_heads: int
    head_size: int
    hidden: int
    candidates: int
    dtype: str


@dataclass(frozen=True)
class Probe:
    """A prompt with the logits that the graph must give after it, to catch a wrong or damaged graph at load.

    Attributes:
        ids: the prompt's token ids.
        top_ids, top_logits: the likeliest next tokens and their logits, best first.
        tolerance: largest allowed difference of a logit.
    """

    ids: list[int]
    top_ids: list[int]
    top_logits: list[float]
    tolerance: float


@dataclass(frozen=True)
class Calibration:
    """One cell of the table from budget to threshold, measured on held-out documents.

    Attributes:
        criterion, temperature, top_p: what it holds for.
        budget: largest allowed divergence rate.
        threshold: ask where the verifier's doubt is above it.
        divergence: measured divergence rate at that threshold.
        ask_rate: share of tokens asked at that threshold.
        tokens, documents: how many the two rates rest on.
        upper: upper confidence bound on a document's expected divergence rate at that threshold.
        confidence: of that bound.
    """

    criterion: Criterion
    temperature: float
    top_p: float
    budget: float
    threshold: float
    divergence: float
    ask_rate: float
    tokens: int
    documents: int = 0
    upper: float = 1.0
    confidence: float = 0.0


@dataclass(frozen=True)
class Familiar:
    """How the kind of text looks to the draft that the calibration was measured on.

    Attributes:
        temperature, top_p: what it holds for.
        window: tokens that each mean is taken over.
        low, high: within which the mean entropy of the draft over a window lies in 99 of 100 windows, nats.
    """

    temperature: float
    top_p: float
    window: int
    low: float
    high: float


@dataclass(frozen=True)
class Wording:
    """How the kind of text is worded that the calibration was measured on.

    Attributes:
        window: tokens that each mean is taken over.
        low, high: within which the bytes per token of a window lie in 99 of 100.
    """

    window: int
    low: float
    high: float


@dataclass(frozen=True)
class Manifest:
    """Everything about a bundle that is not a graph.

    Attributes:
        name: of the bundle, for people.
        target_name, target_fingerprint: the target that the verifier was trained for.
        tokenizer_fingerprint: see `shared.identity`.
        vocabulary: number of token ids the tokenizer defines.
        context: longest sequence in tokens.
        end_ids: tokens that end a text.
        draft: how to run the draft's graph.
        probe: checked at load.
        calibration: table from budget to threshold.
        calibrated_draft: SHA-256 of the draft's graph that the table was measured with.
        familiar: how calibrated text looks to the draft, for each way of sampling.
        wording: of the documents that its openings were taken from; None if there were none.
        digests: SHA-256 of the other files, by name.
    """

    name: str
    target_name: str
    target_fingerprint: str
    tokenizer_fingerprint: str
    vocabulary: int
    context: int
    end_ids: list[int]
    draft: DraftGraph
    probe: Probe
    calibration: list[Calibration] = field(default_factory=list)
    calibrated_draft: str = ""
    familiar: list[Familiar] = field(default_factory=list)
    wording: Wording | None = None
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """A name for the bundle that no other one has: its own, and a digest of its files."""
        named = "".join(c if c.isalnum() or c in "-_" else "-" for c in self.name)[:40]
        return f"{named}-{hashlib.sha256(repr(sorted(self.digests.items())).encode()).hexdigest()[:12]}"


def write_manifest(directory: str | Path, manifest: Manifest) -> None:
    """Write `manifest.json`; the digests are taken from the files that are there now."""
    directory = Path(directory)
    data = asdict(manifest) | {"digests": {name: file_digest(directory / name) for name in FILES}}
    text = json.dumps({"format": FORMAT} | data, indent=1, ensure_ascii=False) + "\n"
    scratch = directory / "manifest.json.tmp"
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(directory / "manifest.json")


def read_manifest(directory: str | Path) -> Manifest:
    """Read and check `manifest.json` and the digests of the files beside it.

    Raises:
        BundleError: anything missing, damaged or of another format; the message names it.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise BundleError(f"there is no bundle at {directory}; give a directory that `cloud-target export` made")
    path = directory / "manifest.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != FORMAT:
            raise BundleError(f"{path} is of another format than {FORMAT}; make the bundle again with this version")
        manifest = Manifest(
            **data
            | {
                "draft": DraftGraph(**data["draft"]),
                "probe": Probe(**data["probe"]),
                "calibration": [
                    Calibration(**cell | {"criterion": Criterion(cell["criterion"])}) for cell in data["calibration"]
                ],
                "familiar": [Familiar(**text) for text in data.get("familiar", [])],
                "wording": Wording(**data["wording"]) if data.get("wording") else None,
            }
        )
        _check(manifest)
    except FileNotFoundError:
        raise BundleError(f"{directory} has no manifest.json: it is not a bundle, or was not finished") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} is damaged ({error}); make the bundle again") from error
    for name in FILES:
        if not (directory / name).is_file():
            raise BundleError(f"the bundle {directory} lacks {name}; copy it again, whole")
        if file_digest(directory / name) != manifest.digests.get(name):
            raise BundleError(f"{directory / name} is not the file that the manifest describes; copy the bundle again")
    return manifest


def _check(manifest: Manifest) -> None:
    """Raise ValueError for a field that the edge could not work with; the sentence names it and its value."""
    draft = manifest.draft
    for name in ("name", "target_name", "target_fingerprint", "tokenizer_fingerprint", "calibrated_draft"):
        _need(isinstance(getattr(manifest, name), str), name, "text", getattr(manifest, name))
    for name in ("kind", "dtype"):
        _need(isinstance(getattr(draft, name), str), f"draft.{name}", "text", getattr(draft, name))
    _need(isinstance(manifest.digests, dict), "digests", "an object", manifest.digests)
    for name in ("vocabulary", "context"):
        _need(_is_count(getattr(manifest, name), 1), name, "a whole number above 0", getattr(manifest, name))
    for name in ("layers", "kv_heads", "head_size", "hidden", "candidates"):
        _need(_is_count(getattr(draft, name), 1), f"draft.{name}", "a whole number above 0", getattr(draft, name))
    _need(draft.candidates <= MOST_CANDIDATES, "draft.candidates", f"at most {MOST_CANDIDATES}", draft.candidates)
    for name, ids in (("end_ids", manifest.end_ids), ("probe.ids", manifest.probe.ids)):
        for token in ids:
            is_known = _is_count(token, 0) and token < manifest.vocabulary
            _need(is_known, name, f"token ids below {manifest.vocabulary}", token)
    for cell in manifest.calibration:
        for name in ("threshold", "divergence", "ask_rate", "upper", "confidence", "top_p"):
            _need(_within(getattr(cell, name), 0, 1), f"calibration.{name}", "from 0 to 1", getattr(cell, name))
        _need(_within(cell.budget, 1e-9, 1), "calibration.budget", "above 0 and at most 1", cell.budget)
        _need(_within(cell.temperature, 0, 10), "calibration.temperature", "from 0 to 10", cell.temperature)
        for name in ("tokens", "documents"):
            _need(_is_count(getattr(cell, name), 0), f"calibration.{name}", "a whole number", getattr(cell, name))
    for text in manifest.familiar:
        _need(_within(text.temperature, 0, 10), "familiar.temperature", "from 0 to 10", text.temperature)
        _need(_within(text.top_p, 0, 1), "familiar.top_p", "from 0 to 1", text.top_p)
        _check_range("familiar", text)
    if manifest.wording:
        _check_range("wording", manifest.wording)


def _check_range(name: str, seen: Familiar | Wording) -> None:
    _need(_is_count(seen.window, 1), f"{name}.window", "a whole number above 0", seen.window)
    _need(_within(seen.low, 0, seen.high), f"{name}.low", f"between 0 and `{name}.high` ({seen.high})", seen.low)


def _need(is_so: bool, name: str, what: str, value: object) -> None:
    if not is_so:
        raise ValueError(f"`{name}` must be {what}, not {value!r}")


def _is_count(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _within(value: object, low: float, high: object) -> bool:
    """Whether both are numbers in order; NaN is not."""
    return isinstance(value, int | float) and isinstance(high, int | float) and low <= value <= high < float("inf")
