"""What the figures of a finished text say about it, in a sentence for its reader."""

from __future__ import annotations

from collections.abc import Mapping

from edge_client.usage.summary import Summary

# Of so many repeating tokens, and of such a share of all, a reader is told: a refrain has fewer.
ENOUGH = 16
SHARE = 0.25


def repetition_note(summary: Summary) -> list[str]:
    """Whether a good part of a text only repeats itself. It takes no target to see that."""
    if summary.repeated < max(ENOUGH, SHARE * summary.tokens):
        return []
    return [
        f"{summary.repeated} of the {summary.tokens} tokens only go on with a repetition: the text runs in circles; "
        "another seed or a higher temperature may lead out of them"
    ]


def verifier_note(verifiers: Mapping[str, int]) -> str:
    """Which of several verifiers doubted about how many drafted tokens."""
    return f"doubted by {', '.join(f'{name} ({count} tokens)' for name, count in verifiers.items())}"
