"""A bundle's draft: which kind of graph it is, and that it gives the logits that the manifest expects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from edge_client.inference.draft import ConcatDraft, Draft, SharedBufferDraft
from edge_client.inference.runtime import open_session
from shared.errors import BundleError, first_line
from shared.manifest import Manifest, Probe

_KINDS: dict[str, type[SharedBufferDraft | ConcatDraft]] = {"shared-buffer": SharedBufferDraft, "concat": ConcatDraft}


def draft_maker(bundle: str | Path, manifest: Manifest, threads: int = 1) -> Callable[[], Draft]:
    """Load `draft.onnx` of a bundle, and see that it gives the logits that the manifest expects.

    Returns:
        What makes drafts over the loaded graph, each with an empty cache of its own.

    Raises:
        BundleError: the graph is missing, damaged, of an unknown kind, or not the one the manifest describes.
    """
    path = Path(bundle) / "draft.onnx"
    kind = _KINDS.get(manifest.draft.kind)
    if kind is None:
        raise BundleError(
            f"{path} is a graph of the kind {manifest.draft.kind!r}, and this version knows {', '.join(_KINDS)}; "
            "update Tandem, or make the bundle again"
        )
    session = open_session(path, threads)
    make = partial(kind, session, manifest.draft, manifest.vocabulary, manifest.context)
    try:
        _check_probe(make(), manifest.probe, path)
    except BundleError:
        raise
    except Exception as error:  # onnxruntime's own exceptions have no common base below this
        raise BundleError(
            f"{path} cannot be run as the manifest describes it ({first_line(error)}); make the bundle again"
        ) from error
    return make


def _check_probe(draft: Draft, probe: Probe, path: Path) -> None:
    """Feed the probe, the last token by itself as in decoding, and compare the likeliest tokens."""
    if len(probe.ids) > 1:
        draft.feed(probe.ids[:-1])
    step = draft.feed(probe.ids[-1:])
    given = dict(zip(step.ids.tolist(), step.logits.tolist(), strict=True))
    for token, expected in zip(probe.top_ids, probe.top_logits, strict=True):
        # Written so that NaN does not pass.
        if not abs(given.get(token, np.inf) - expected) <= probe.tolerance:
            found = (
                f"gives token {token} the logit {given[token]:.4f}" if token in given else f"leaves out token {token}"
            )
            raise BundleError(
                f"{path} {found} on the probe prompt, and the manifest expects a logit of {expected:.4f} ± "
                f"{probe.tolerance:.4f}; the graph is damaged or of another model: make the bundle again"
            )
