"""`edge-client info`: what a bundle is."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from edge_client.cli.console import CONTROLS
from shared.manifest import DRAFT_DATA, read_manifest
from shared.rounding import by_rounding


def run(options: argparse.Namespace) -> int:
    """Tell what the bundle is; returns the exit status.

    Raises:
        BundleError: it is missing or damaged.
    """
    manifest = read_manifest(options.bundle)
    if options.json:
        print(json.dumps(asdict(manifest)))
        return 0
    draft = manifest.draft
    graph = [options.bundle / name for name in ("draft.onnx", DRAFT_DATA)[: 1 + draft.apart]]
    facts = {
        "bundle": f"{manifest.name} ({options.bundle})",
        "made for": f"{manifest.target_name} ({manifest.target_fingerprint}), judging in {manifest.target_dtype}",
        "tokenizer": f"{manifest.vocabulary} tokens ({manifest.tokenizer_fingerprint})",
        "context": f"{manifest.context} tokens",
        "draft": f"{draft.layers} layer{'s' * (draft.layers != 1)}, hidden size {draft.hidden}, {draft.dtype}, "
        f"{draft.kind}, {sum(file.stat().st_size for file in graph) / 1e6:.1f} MB",
        "verifiers": ", ".join(manifest.verifiers),
        "chat": "by the template of its checkpoint" if manifest.chat else "none: it takes plain prompts only",
    }
    if manifest.disagreement:
        facts["noise"] = f"the target disagrees with itself: {by_rounding(manifest.disagreement)}"
    for name, fact in facts.items():
        print(f"{name:<10} {fact}".translate(CONTROLS))
    return 0
