"""Signs that the promise was measured on something else: another target, another draft, another kind of text.

The budget keeps the promise in every case, by asking more; these say why it asks more, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from edge_client.promise.beginning import nearest
from edge_client.settings import Settings
from edge_client.target.description import Description
from edge_client.usage.summary import Summary
from shared.config import CRITERIA_REVISION, Coupling, Criterion, Mode, Sampling
from shared.manifest import Manifest
from shared.rounding import REPEATABLE, floor, percent, told_apart
from shared.tokenizer import bytes_per_token

_WHAT_THEN = (
    "the verifier's doubts may mean less here, but the audits keep the budget; a bundle made by `cloud-target prepare` "
    "with such texts would fit them"
)
# Splitting is worth a word when a token takes so many milliseconds more than the target alone would need, in a text
# long enough to tell.
WORTH_MS = 1.0
ENOUGH_TOKENS = 64
# So many of a text's last tokens say how it is worded.
LATELY = 48


def mismatches(manifest: Manifest, target: Description | None, criterion: Criterion) -> list[str]:
    """What is known before the first token: why the calibrated doubts need not hold. A sentence each."""
    found = []
    if target is not None and target.fingerprint != manifest.target_fingerprint:
        found.append(
            f"the verifier of the bundle {manifest.name} was trained for {manifest.target_name}, and this target is "
            f"{target.name} ({target.fingerprint[:8]}): more is asked until the audits show that less will do; "
            "`cloud-target prepare` makes a bundle for this target"
        )
    if manifest.calibrated_draft and manifest.calibrated_draft != manifest.digests.get("draft.onnx"):
        found.append(
            f"the verifier of the bundle {manifest.name} was calibrated with another draft graph (other weights, or "
            "the same in another precision): more is asked until the audits show that less will do; run `cloud-target "
            "prepare` with this draft"
        )
    measured = {cell.criteria for cell in manifest.calibration if cell.criterion is criterion}
    # `strict` has always meant the same.
    if criterion is Criterion.TYPICAL and measured - {CRITERIA_REVISION}:
        found.append(
            f"the verifier of the bundle {manifest.name} was calibrated by another version of Tandem, in which "
            f"{criterion} counted other tokens as off-target: more is asked until the audits show that less will do; "
            "run `cloud-target prepare` again"
        )
    elif measured and not any(way.criterion is criterion for way in manifest.doubts):
        found.append(
            f"the bundle {manifest.name} does not say what its verifier's doubts by {criterion} are like in calibrated "
            "text: more is asked until the audits show that less will do; run `cloud-target prepare` again"
        )
    return found


def rounding(manifest: Manifest, target: Description | None, settings: Settings) -> list[str]:
    """Whether a budget is below what the target itself is unsure of, or nobody knows whether it is."""
    if target is None or target.repeatable or target.fingerprint != manifest.target_fingerprint:
        return []
    # The residual coupling judges by how likely a token is, where the last digits hardly count; 0 is no budget.
    if settings.coupling is Coupling.RESIDUAL or not settings.budget:
        return []
    if target.dtype != manifest.target_dtype:
        if settings.criterion is not Criterion.STRICT:
            return []
        return [
            f"the bundle {manifest.name} was calibrated with {manifest.target_name} in {manifest.target_dtype}, and "
            f"this target computes in {target.dtype}, in which it now and then disagrees with itself: by strict these "
            f"tokens count as off-target, and more is asked; serve it in {manifest.target_dtype}, or make a bundle in "
            f"{target.dtype}: `cloud-target prepare` then measures how many they are"
        ]
    share = floor(manifest.disagreement, settings.criterion, settings.sampling)
    if settings.budget >= share:
        return []
    return [
        f"this target disagrees with itself at {percent(share)} of tokens in {target.dtype} (by {settings.criterion}): "
        f"a budget of {percent(settings.budget)} cannot be told from its noise, and much is asked for nothing; serve "
        f"it in {REPEATABLE}, or ask for {percent(told_apart(share))}"
    ]


def unlike(manifest: Manifest, tokenizer: Tokenizer, ids: Sequence[int]) -> float:
    """How unlike the documents that the bundle was calibrated on a text is worded by now: 0 where it is not.

    Bytes that its last tokens stand for, each, beyond what is usual there.
    """
    known = manifest.wording
    if known is None or len(ids) < known.window:
        return 0.0
    bytes_each = bytes_per_token(tokenizer, ids[-LATELY:])
    return max(known.low - bytes_each, bytes_each - known.high, 0.0)


def unfamiliar_prompt(manifest: Manifest, tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Whether a prompt is worded unlike the documents that the bundle was calibrated on."""
    known = manifest.wording
    if known is None or len(ids) < known.window:
        return []
    bytes_each = bytes_per_token(tokenizer, ids)
    if known.low <= bytes_each <= known.high:
        return []
    return [
        f"{_unlike(manifest)} (its tokens stand for {bytes_each:.1f} bytes each, and {known.low:.1f} to "
        f"{known.high:.1f} are usual): {_WHAT_THEN}"
    ]


def unfamiliar_text(manifest: Manifest, sampling: Sampling, steps: int, entropy: float) -> list[str]:
    """Whether a text looks unlike those that the bundle was calibrated on.

    Args:
        sampling: how it was drawn.
        steps: of the draft.
        entropy: of the draft, the mean over these steps, nats.
    """
    if not manifest.familiar:
        return []
    known = nearest(manifest.familiar, sampling)
    if steps < known.window or known.low <= entropy <= known.high:
        return []
    return [
        f"{_unlike(manifest)} (the draft's entropy is {entropy:.2f} nats a token, and {known.low:.2f} to "
        f"{known.high:.2f} is usual): {_WHAT_THEN}"
    ]


def _unlike(manifest: Manifest) -> str:
    return f"this text is unlike those that the bundle {manifest.name} was calibrated on"


def advice(mode: Mode, summary: Summary, overdrawn: bool) -> list[str]:
    """What a finished run suggests: that the budget is overdrawn, or that splitting costs more than it saves."""
    found = []
    if overdrawn:
        found.append(
            "the budget is overdrawn, for the audits found too many off-target tokens: every token is asked until the "
            "next ones have made good for them"
        )
    if mode is not Mode.SPRINT or not summary.audit.asked or summary.tokens < ENOUGH_TOKENS:
        return found
    # The target alone streams: the link delays its text once, but does not slow it down. A limit would hold up both.
    times = summary.times
    alone, split = times.target_ms / summary.calls, (times.total_ms - times.held_ms) / summary.tokens
    if split > alone + WORTH_MS:
        found.append(
            f"asking about {100 * summary.audit.ask_rate:.0f} % of the tokens makes a token take "
            f"{split:.1f} ms, and the target alone would need about {alone:.1f} ms: use mode cloud, or a larger budget"
        )
    return found
