"""A bundle: the directory that an edge device needs.

draft.onnx      the draft's graph
verifier.onnx   the accept/ask head: features float32 [1, SCALARS + hidden] -> doubt float32 [1, 2]
tokenizer.json
manifest.json   what they are, whom they were made for, how the verifier is calibrated, and how chats are written
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from shared.chat.template import ChatTemplate
from shared.config import CRITERIA_REVISION, Criterion
from shared.errors import BundleError
from shared.fields import check_number, check_text, check_whole, chosen, filled, listed, shown
from shared.identity import file_digest

FORMAT = 1
MOST_CANDIDATES = 4096
SMALLEST_BUDGET = 1e-9
SPREAD = 64
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
        criteria: what the criteria meant when it was measured, see `shared.config.CRITERIA_REVISION`; a table that does
            not say it is of the first revision.
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
    criteria: int = CRITERIA_REVISION

    @classmethod
    def from_json(cls, data: object, name: str = "") -> Calibration:
        """A cell from its JSON form, called `name` in messages; raises ValueError where it is none."""
        dated = {"criteria": 1} | data if isinstance(data, dict) else data
        cell = filled(cls, dated, name)
        return replace(cell, criterion=chosen(Criterion, f"{name}.criterion", cell.criterion))


@dataclass(frozen=True)
class Doubts:
    """What the verifier's doubts are like in the text that the calibration was measured on.

    Attributes:
        criterion, temperature, top_p: what it holds for.
        log_odds: of the doubts, `SPREAD` of their quantiles, ascending.
        errors: log-odds of an error at each of them, as they were counted; they rise where the doubts do. None if they
            were not: then the doubts are taken at their word.
    """

    criterion: Criterion
    temperature: float
    top_p: float
    log_odds: list[float]
    errors: list[float] | None = None


@dataclass(frozen=True)
class Familiar:
    """How the kind of text looks to the draft that the calibration was measured on.

    Attributes:
        temperature, top_p: what it holds for.
        window: tokens that each mean is taken over.
        low, high: within which the mean entropy of the draft over a window lies in 99 of 100 windows, nats.
        rivals: where the target does not write the drawn token, how often it writes the one that was nearly drawn, and
            how often the next; None if that was not counted.
    """

    temperature: float
    top_p: float
    window: int
    low: float
    high: float
    rivals: list[float] | None = None


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
        calibration: table from budget to threshold; it says what the verifier can do, and steers nothing.
        calibrated_draft: SHA-256 of the draft's graph that the table was measured with.
        doubts: what the verifier's doubts are like there, for each way of sampling.
        familiar: how calibrated text looks to the draft, for each way of sampling.
        wording: of the documents that its openings were taken from; None if there were none.
        chat: how the checkpoint writes conversations; None if it knows no way.
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
    doubts: list[Doubts] = field(default_factory=list)
    familiar: list[Familiar] = field(default_factory=list)
    wording: Wording | None = None
    chat: ChatTemplate | None = None
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
        BundleError: something is missing, damaged or of another format; the message names it.
    """
    directory = Path(directory)
    manifest = glance(directory)
    for name in FILES:
        file = directory / name
        if not file.is_file():
            raise BundleError(f"the bundle {directory} lacks {name}; copy it again, whole")
        try:
            digest = file_digest(file)
        except OSError as error:
            raise _unreadable(file, error) from error
        if digest != manifest.digests.get(name):
            raise BundleError(f"{file} is not the file that the manifest describes; copy the bundle again, whole")
    return manifest


def glance(directory: str | Path) -> Manifest:
    """Read and check `manifest.json` alone, whatever the files beside it are.

    Raises:
        BundleError: it is missing, damaged or of another format.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise BundleError(
            f"there is no bundle at {directory}; give a directory that `cloud-target prepare` or `export` made",
            options=("bundle",),
        )
    path = directory / "manifest.json"
    try:
        data = _parse(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            found = shown(data["format"])
            raise BundleError(
                f"{path} has the format {found}, and this version of Tandem reads {FORMAT}; make the bundle again"
            )
        manifest = _made(data)
        _check(manifest)
    except FileNotFoundError:
        raise BundleError(f"{directory} has no manifest.json: it is not a bundle, or was not finished") from None
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise BundleError(f"{path} is damaged: {error}; make the bundle again") from error
    return manifest


def _unreadable(path: Path, error: OSError) -> BundleError:
    return BundleError(f"cannot read {path} ({error.strerror or error}); see who may read it")


def _parse(text: str) -> dict[str, Any]:
    """The fields in a manifest's text, and among them its format; raises ValueError where there are none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise ValueError(f"it must hold an object, not {shown(data)}")
    for name in ("format", "calibration"):
        if name not in data:
            raise ValueError(f"`{name}` is missing")
    return data


def _made(data: dict[str, Any]) -> Manifest:
    """The manifest with every part in its place; raises ValueError where one is missing or of another kind."""
    made = filled(Manifest, {name: value for name, value in data.items() if name != "format"})
    return replace(
        made,
        draft=filled(DraftGraph, made.draft, "draft"),
        probe=filled(Probe, made.probe, "probe"),
        calibration=[Calibration.from_json(cell, name) for name, cell in _numbered("calibration", made.calibration)],
        doubts=[_doubts(way, name) for name, way in _numbered("doubts", made.doubts)],
        familiar=[filled(Familiar, way, name) for name, way in _numbered("familiar", made.familiar)],
        wording=filled(Wording, made.wording, "wording") if made.wording else None,
        chat=filled(ChatTemplate, made.chat, "chat") if made.chat is not None else None,
    )


def _numbered(name: str, items: object) -> Iterator[tuple[str, object]]:
    """The items of a list with what each is called in messages, such as "familiar[0]"."""
    return ((f"{name}[{i}]", item) for i, item in enumerate(listed(name, items)))


def _doubts(data: object, name: str) -> Doubts:
    way = filled(Doubts, data, name)
    return replace(way, criterion=chosen(Criterion, f"{name}.criterion", way.criterion))


def _check(manifest: Manifest) -> None:
    """Raise ValueError for a field that the edge could not work with."""
    draft = manifest.draft
    for name in ("name", "target_name", "target_fingerprint", "tokenizer_fingerprint", "calibrated_draft"):
        check_text(name, getattr(manifest, name))
    for name in ("kind", "dtype"):
        check_text(f"draft.{name}", getattr(draft, name))
    if not isinstance(manifest.digests, dict):
        raise ValueError(f"`digests` must be an object, not {shown(manifest.digests)}")
    for name in ("vocabulary", "context"):
        check_whole(name, getattr(manifest, name), least=1)
    for name in ("layers", "kv_heads", "head_size", "hidden"):
        check_whole(f"draft.{name}", getattr(draft, name), least=1)
    check_whole("draft.candidates", draft.candidates, least=1, most=MOST_CANDIDATES)
    for token_ids in (_numbered("end_ids", manifest.end_ids), _numbered("probe.ids", manifest.probe.ids)):
        for name, token in token_ids:
            check_whole(name, token, most=manifest.vocabulary - 1)
    for i, cell in enumerate(manifest.calibration):
        _check_sampling(f"calibration[{i}]", cell)
        check_number(f"calibration[{i}].budget", cell.budget, SMALLEST_BUDGET, 1)
        for name in ("threshold", "divergence", "ask_rate", "upper", "confidence"):
            check_number(f"calibration[{i}].{name}", getattr(cell, name), 0, 1)
        for name in ("tokens", "documents", "criteria"):
            check_whole(f"calibration[{i}].{name}", getattr(cell, name))
    for i, spread in enumerate(manifest.doubts):
        _check_sampling(f"doubts[{i}]", spread)
        _check_spread(f"doubts[{i}]", spread)
    for i, way in enumerate(manifest.familiar):
        _check_sampling(f"familiar[{i}]", way)
        _check_range(f"familiar[{i}]", way)
        for name, share in _numbered(f"familiar[{i}].rivals", way.rivals or []):
            check_number(name, share, 0, 1)
    if manifest.wording:
        _check_range("wording", manifest.wording)
    if manifest.chat:
        manifest.chat.check("chat")


def _check_sampling(name: str, how: Calibration | Doubts | Familiar) -> None:
    check_number(f"{name}.temperature", how.temperature, 0, 10)
    check_number(f"{name}.top_p", how.top_p, 0, 1)


def _check_spread(name: str, spread: Doubts) -> None:
    errors = spread.log_odds if spread.errors is None else spread.errors
    for part, values in (("log_odds", spread.log_odds), ("errors", errors)):
        if len(listed(f"{name}.{part}", values)) != SPREAD:
            raise ValueError(f"`{name}.{part}` must be a list of {SPREAD} numbers, not of {len(values)}")
        for value in values:
            check_number(f"{name}.{part}", value)
    for (doubt, error), (larger, more) in pairwise(zip(spread.log_odds, errors, strict=True)):
        if larger < doubt or (larger > doubt and more <= error):
            raise ValueError(f"`{name}` must rise: its `log_odds`, and where they rise its `errors`")


def _check_range(name: str, usual: Familiar | Wording) -> None:
    check_whole(f"{name}.window", usual.window, least=1)
    check_number(f"{name}.high", usual.high, 0)
    check_number(f"{name}.low", usual.low, 0, usual.high)
