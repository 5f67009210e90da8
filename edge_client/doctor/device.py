"""This device: its processor and memory, a bundle's files and graphs, how fast it drafts, and where it remembers."""

from __future__ import annotations

import math
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from time import perf_counter

from edge_client.bundles.bundle import Bundle
from edge_client.decoding.drafter import Drafter
from edge_client.settings import Settings
from edge_client.state import state_directory
from shared.errors import BundleError
from shared.findings import Check, Finding, fail, ok, warn
from shared.machine import LINUX, SystemFiles, available_memory, processor_flags, usable_cores
from shared.manifest import Manifest, read_manifest
from shared.requirements import check_versions
from shared.sampling import Sampler

# What texts begin with, and all that a target ever gets to see of a device that is examined.
PROMPT = "Once upon a time"
# Tokens that are drafted to see how long one takes, and when that is enough, seconds.
_DRAFTED, _LONG_ENOUGH = 48, 2.0
_FEWEST = 4
# Instructions that make small models fast, the best first, as Linux calls them, by the kind of processor.
_FAST = {
    "x86_64": ("amx_int8", "avx512_vnni", "avx_vnni", "avx512f", "avx2"),
    "aarch64": ("sve", "i8mm", "asimddp", "asimd"),
}
_FLOAT = 4


class Device:
    """The checks of one device with one bundle; later ones are skipped where earlier ones leave no hope.

    Args:
        directory: of the bundle.
        settings: how texts are drawn.
        files: where the system says what it has.

    Attributes:
        bundle: the bundle, once it has been loaded.
        step: what a drafted and verified token takes, seconds; None before it was measured.
    """

    def __init__(self, directory: Path, settings: Settings, files: SystemFiles = LINUX) -> None:
        self._directory, self._settings, self._files = directory, settings, files
        self._manifest: Manifest | None = None
        self.bundle: Bundle | None = None
        self.step: float | None = None

    def checks(self) -> list[Check]:
        """In the order in which they make sense."""
        return [
            ("versions", lambda: check_versions("edge", ("onnxruntime", "grpcio", "llguidance", "numpy"))),
            ("processor", self._processor),
            ("state", _state),
            ("bundle", self._files_of_the_bundle),
            ("memory", self._memory),
            ("models", self._models),
            ("draft", self._draft),
        ]

    def _processor(self) -> Iterator[Finding]:
        kind, cores, flags = platform.machine() or "unknown", usable_cores(self._files), processor_flags(self._files)
        known = _FAST.get(kind, ())
        fast = [name for name in known if name in flags]
        values = {"kind": kind, "cores": cores, "instructions": fast}
        about = f"{kind}{f' with {chr(44).join(fast)}' if fast else ''}, {cores:g} core{'s' * (cores != 1)}"
        if cores < 1:
            sentence = f"{about}: a text takes a whole one; give this container more, or texts will be slower"
            yield warn("processor", sentence, **values)
        elif known and flags and not fast:
            yield warn("processor", f"{about}, and none of {', '.join(known)}: drafting will be slow here", **values)
        else:
            yield ok("processor", f"{about}; a text takes one", **values)

    def _files_of_the_bundle(self) -> Iterator[Finding]:
        manifest = self._manifest = read_manifest(self._directory)
        size = sum(path.stat().st_size for path in self._directory.iterdir() if path.is_file())
        values = {
            "directory": str(self._directory),
            "name": manifest.name,
            "bytes": size,
            "target": manifest.target_name,
            "target_fingerprint": manifest.target_fingerprint,
            "calibrated": bool(manifest.calibration),
            "verifiers": list(manifest.verifiers),
        }
        about = f"{manifest.name}, {size / 1e6:.1f} MB, whole and unchanged, made for {manifest.target_name}"
        if manifest.domains:
            about += f", with verifiers of their own for {', '.join(manifest.verifiers[1:])}"
        if manifest.calibration:
            yield ok("bundle", about, **values)
        else:
            sentence = (
                f"{about}; its verifier was never calibrated, so more is asked at first: `cloud-target prepare` makes "
                "one that is"
            )
            yield warn("bundle", sentence, **values)

    def _memory(self) -> Iterator[Finding]:
        if self._manifest is None:
            return
        graphs = (name for name in self._manifest.files if name.endswith(".onnx"))
        weights = sum((self._directory / name).stat().st_size for name in graphs)
        cache, free = cache_bytes(self._manifest), available_memory(self._files)
        values = {"weights": weights, "text": cache, "free": free}
        about = f"{weights / 1e6:.1f} MB of weights, and {cache / 1e6:.1f} MB a text at once"
        if free is None:
            yield ok("memory", f"{about}; this system does not say how much is free", **values)
        elif weights + cache > free:
            sentence = f"{about}, but only {free / 1e6:.0f} MB are free: end other programs, or use a smaller bundle"
            yield fail("memory", sentence, **values)
        else:
            yield ok("memory", f"{about}; {free / 1e6:.0f} MB are free", **values)

    def _models(self) -> Iterator[Finding]:
        if self._manifest is None:
            return
        begin = perf_counter()
        bundle = Bundle.load(self._directory)
        seconds = perf_counter() - begin
        ids = bundle.encode(PROMPT)
        with bundle.models.lend() as models:
            drafter = Drafter(models.draft, Sampler(self._settings.sampling), models.verifier, self._settings.criterion)
            doubt = drafter.propose(ids).doubt
        if not (math.isfinite(doubt) and 0.0 <= doubt <= 1.0):
            raise BundleError(f"the verifier gives {doubt} as a probability; make the bundle again")
        self.bundle = bundle
        sentence = f"loaded in {seconds:.1f} s; the draft gives the logits that it should, and the verifier answers"
        yield ok("models", sentence, seconds=seconds)

    def _draft(self) -> Iterator[Finding]:
        if self.bundle is None:
            return
        text = self.bundle.encode(PROMPT)
        taken: list[float] = []
        with self.bundle.models.lend() as models:
            drafter = Drafter(models.draft, Sampler(self._settings.sampling), models.verifier, self._settings.criterion)
            most = min(_DRAFTED, self.bundle.manifest.context - len(text) - 1)
            text.append(drafter.propose(text).token)  # which reads the prompt
            while len(taken) < most and (len(taken) < _FEWEST or sum(taken) < _LONG_ENOUGH):
                before = drafter.draft_ns + drafter.verifier_ns
                text.append(drafter.propose(text).token)
                taken.append((drafter.draft_ns + drafter.verifier_ns - before) / 1e9)
        low, self.step, high = spread(taken)
        values = {"seconds": self.step, "low": low, "high": high, "tokens": len(taken)}
        yield ok(
            "draft",
            f"{1e3 * self.step:.2f} ms a token, drafted and verified (median of {len(taken)}; half of them "
            f"{1e3 * low:.2f} to {1e3 * high:.2f})",
            **values,
        )


def cache_bytes(manifest: Manifest) -> int:
    """Of the keys and values of a text as long as the context; a graph whose cache grows holds them twice at times."""
    draft = manifest.draft
    once = 2 * draft.layers * draft.kv_heads * draft.head_size * manifest.context * _FLOAT
    return once if draft.kind == "shared-buffer" else 2 * once


def spread(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of one value or more."""
    low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * values
    return low, middle, high


def _state() -> Iterator[Finding]:
    directory = state_directory()
    exists = directory.is_dir()
    place = next((path for path in (directory, *directory.parents) if path.exists()), directory)
    try:
        if exists:
            with tempfile.TemporaryFile(dir=directory):
                pass
        elif not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
            raise PermissionError(13, "permission denied")
    except OSError as error:
        yield warn(
            "state",
            f"nothing can be kept in {directory} ({(error.strerror or str(error)).lower()}), so each run begins anew; "
            "set TANDEM_STATE to a directory that this user may write to",
            directory=str(directory),
        )
        return
    told = "can be written to" if exists else "will be made when something is to be kept"
    yield ok("state", f"{directory} {told}", directory=str(directory))
