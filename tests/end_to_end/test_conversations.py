"""Twenty new tokens of a long conversation, with real models: both read those and hardly more, as they count it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.inference.draft import Draft, Step
from tests.serving_target import ServingTarget

pytestmark = pytest.mark.slow

MODES = ("sprint", "exact", "local", "cloud", "auto")
FIRST, NEW = 48, 20  # tokens of the first text, and of what follows it
SLACK = 8  # tokens that are read once more, or were guessed


class Reading:
    """What drafts read of texts.

    Attributes:
        tokens: how many so far.
        draft: that which read last; None before that.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self.draft: Draft | None = None


@pytest.fixture
def bundle() -> Bundle:
    """One for each test: the drafts of its pool hold what they read, and loading it has one read its probe."""
    return Bundle.load()


@pytest.fixture
def reading(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Reading:
    found, feed = Reading(), Draft.feed

    def counted(draft: Draft, ids: Sequence[int]) -> Step:
        found.tokens, found.draft = found.tokens + len(ids), draft
        return feed(draft, ids)

    monkeypatch.setattr(Draft, "feed", counted)
    return found


@pytest.mark.parametrize("mode", MODES)
def test_both_read_what_is_new_and_no_more(
    pocket_target: ServingTarget, bundle: Bundle, reading: Reading, mode: str
) -> None:
    begun = bundle.encode("Once upon a time, " * 115)
    said = bundle.encode("User: I want to book a table for two in San Jose. Can you?\nAssistant:")[:NEW]
    with Edge(pocket_target.address, bundle=bundle, mode=mode, seed=3, conversations=1, memory=False) as edge:
        first = edge.generate(begun, max_tokens=FIRST)
        known = len(begun) + len(first.token_ids) - 1  # nobody need have read the last token of a text
        held, drafted, read = reading.draft.length if reading.draft else 0, reading.tokens, pocket_target.read()
        prompt = [*begun, *first.token_ids, *said]
        second = edge.generate(prompt, max_tokens=1)
        drafted, read = reading.tokens - drafted, pocket_target.read() - read
    assert (len(said), len(first.token_ids)) == (NEW, FIRST)
    assert known > 700
    if mode == "local":
        assert (read, second.usage.reused_target) == (0, 0)
    else:
        assert second.usage.reused_target >= known
        assert NEW <= read <= NEW + SLACK
    if mode == "cloud":
        assert (held, drafted, second.usage.reused_draft) == (0, 0, 0), "there is nothing to draft"
        return
    if mode in ("sprint", "local"):
        assert held >= known
        assert drafted >= NEW
    # Where the target leads, the draft need not have come to the end of the first text. Then it reads that now, once.
    if mode != "auto":  # which may let the target write alone
        assert held > known - FIRST
    assert second.usage.reused_draft == min(held, known + 1)
    assert drafted <= len(prompt) - second.usage.reused_draft + SLACK


@pytest.mark.parametrize("mode", ["exact", "cloud"])
def test_what_was_kept_changes_no_token(pocket_target: ServingTarget, bundle: Bundle, mode: str) -> None:
    found = []
    for conversations in (1, 0):
        with Edge(pocket_target.address, bundle=bundle, mode=mode, conversations=conversations, memory=False) as edge:
            begun = bundle.encode("Once upon a time, " * 20)
            first = edge.generate(begun, max_tokens=24, seed=3)
            second = edge.generate([*begun, *first.token_ids, *bundle.encode(" But then")], max_tokens=24, seed=4)
        found.append([*first.token_ids, *second.token_ids])
        assert (second.usage.reused_draft + second.usage.reused_target > 0) == bool(conversations)
    assert found[0] == found[1]
