"""A bundle: the directory that an edge device needs.

draft.onnx          the draft's graph
draft.onnx.data     its weights, where one file cannot hold both; the graph has its SHA-256, so none fits another
verifier.onnx       the accept/ask head: features float32 [1, SCALARS + hidden] -> doubt float32 [1, 2]
verifier-NAME.onnx  another one for each domain, a kind of text that has a verifier of its own; may take several rows
tokenizer.json
manifest.json       what they are, whom they were made for, how verifiers are calibrated, and how chats are written
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from shared.calibration import Calibration, Doubts, Familiar, Wording, check_tables, numbered, read_tables
from shared.chat.template import ChatTemplate
from shared.domains import GENERAL, MOST_DOMAINS, NAMING, is_domain, verifier_file
from shared.errors import BundleError
from shared.fields import check_text, check_whole, filled, shown
from shared.identity import file_digest
from shared.rounding import REPEATABLE, Disagreement, check_rounding, read_disagreement

FORMAT = 1
MOST_CANDIDATES = 4096
FILES = ("draft.onnx", "verifier.onnx", "tokenizer.json")
DRAFT_DATA = "draft.onnx.data"


@dataclass(frozen=True)
class DraftGraph:
    """How to run `draft.onnx`.

    Attributes:
        kind: "shared-buffer" (GroupQueryAttention, past and present in one buffer) or "concat" (past grows).
        layers, kv_heads, head_size, hidden: of the draft.
        candidates: K, how many of the likeliest tokens the graph returns.
        dtype: of the weights, "float32", "int8" or "int4".
        apart: whether they lie in a file of their own, `DRAFT_DATA`.
    """

    kind: str
    layers: int
    kv_heads: int
    head_size: int
    hidden: int
    candidates: int
    dtype: str
    apart: bool = False


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
class Domain:
    """The verifier of one kind of text.

    Attributes:
        name: see `shared.domains`.
        calibration, calibrated_draft, doubts, familiar, wording: as in the manifest, of this verifier.
    """

    name: str
    calibration: list[Calibration] = field(default_factory=list)
    calibrated_draft: str = ""
    doubts: list[Doubts] = field(default_factory=list)
    familiar: list[Familiar] = field(default_factory=list)
    wording: Wording | None = None


@dataclass(frozen=True)
class Manifest:
    """Everything about a bundle that is not a graph.

    Attributes:
        name: of the bundle, for people.
        target_name, target_fingerprint: the target that the verifier was trained for.
        target_dtype: the arithmetic of its forward pass, with which it judged; one that does not say so used float32.
        disagreement: of that target with itself, by rounding alone; empty where it is repeatable.
        tokenizer_fingerprint: see `shared.identity`.
        vocabulary: number of token ids the tokenizer defines.
        context: longest sequence in tokens.
        end_ids: tokens that end a text.
        draft: how to run the draft's graph.
        probe: checked at load.
        calibration, calibrated_draft, doubts, familiar, wording: of the general verifier, see `Calibrated`.
        chat: how the checkpoint writes conversations; None if it knows no way.
        digests: SHA-256 of the other files, by name.
        domains: the verifiers beside the general one, each name once.
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
    domains: list[Domain] = field(default_factory=list)
    target_dtype: str = REPEATABLE
    disagreement: list[Disagreement] = field(default_factory=list)

    @property
    def identity(self) -> str:
        """A name for the bundle that no other one has: its own, and a digest of its files."""
        named = "".join(c if c.isalnum() or c in "-_" else "-" for c in self.name)[:40]
        return f"{named}-{hashlib.sha256(repr(sorted(self.digests.items())).encode()).hexdigest()[:12]}"

    @property
    def verifiers(self) -> tuple[str, ...]:
        """By name, the general one first."""
        return (GENERAL, *(domain.name for domain in self.domains))

    @property
    def files(self) -> tuple[str, ...]:
        """All but the manifest."""
        data = (DRAFT_DATA,) if self.draft.apart else ()
        return (*FILES, *data, *(verifier_file(domain.name) for domain in self.domains))

    def seen_by(self, verifier: str) -> Manifest:
        """The manifest with the tables of one of its verifiers in the place of the general one's."""
        for domain in self.domains:
            if domain.name == verifier:
                return replace(self, **{part.name: getattr(domain, part.name) for part in fields(domain)[1:]})
        return self


def write_manifest(directory: str | Path, manifest: Manifest) -> None:
    """Write `manifest.json`; the digests are taken from the files that are there now."""
    directory = Path(directory)
    data = asdict(manifest) | {"digests": {name: file_digest(directory / name) for name in manifest.files}}
    # What a bundle has not is not named, so that it can still be read where nobody knows of it.
    for name in ("domains", "disagreement"):
        if not data[name]:
            del data[name]
    if manifest.target_dtype == REPEATABLE:
        del data["target_dtype"]
    if not manifest.draft.apart:
        del data["draft"]["apart"]
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
    for name in manifest.files:
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
        **read_tables(made),
        domains=[_domain(domain, name) for name, domain in numbered("domains", made.domains)],
        disagreement=read_disagreement(made.disagreement),
        chat=filled(ChatTemplate, made.chat, "chat") if made.chat is not None else None,
    )


def _domain(data: object, name: str) -> Domain:
    domain = filled(Domain, data, name)
    return replace(domain, **read_tables(domain, f"{name}."))


def _check(manifest: Manifest) -> None:
    """Raise ValueError for a field that the edge could not work with."""
    draft = manifest.draft
    for name in ("name", "target_name", "target_fingerprint", "tokenizer_fingerprint"):
        check_text(name, getattr(manifest, name))
    for name in ("kind", "dtype"):
        check_text(f"draft.{name}", getattr(draft, name))
    if not isinstance(draft.apart, bool):
        raise ValueError(f"`draft.apart` must be true or false, not {shown(draft.apart)}")
    if not isinstance(manifest.digests, dict):
        raise ValueError(f"`digests` must be an object, not {shown(manifest.digests)}")
    for name in ("vocabulary", "context"):
        check_whole(name, getattr(manifest, name), least=1)
    for name in ("layers", "kv_heads", "head_size", "hidden"):
        check_whole(f"draft.{name}", getattr(draft, name), least=1)
    check_whole("draft.candidates", draft.candidates, least=1, most=MOST_CANDIDATES)
    for token_ids in (numbered("end_ids", manifest.end_ids), numbered("probe.ids", manifest.probe.ids)):
        for name, token in token_ids:
            check_whole(name, token, most=manifest.vocabulary - 1)
    check_tables(manifest)
    check_rounding(manifest)
    for i, domain in enumerate(manifest.domains):
        if not is_domain(domain.name):
            raise ValueError(f"`domains[{i}].name` must be {NAMING}, not {shown(domain.name)}")
        check_tables(domain, f"domains[{i}].")
    if len(set(manifest.verifiers)) != len(manifest.verifiers) or len(manifest.domains) > MOST_DOMAINS:
        raise ValueError(f"`domains` must be {MOST_DOMAINS} or fewer, each of a name of its own")
    if manifest.chat:
        manifest.chat.check("chat")
