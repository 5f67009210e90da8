"""The store of keys and values: texts grow, shrink, move and lend, and each finds its own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.hf.store import KvStore

BLOCK = 4
ROOM = 12 * BLOCK
actions = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "trim", "copy"]), st.integers(0, 4), st.integers(0, 4), st.integers(0, 24)
    ),
    max_size=40,
)


def make_store() -> KvStore:
    return KvStore([((1, 2), (1, 3)), ((2, 1), (2, 1))], ROOM + 3, BLOCK, torch.float32, torch.device("cpu"))


def blocks(tokens: int) -> int:
    return -(-tokens // BLOCK) * BLOCK


@settings(max_examples=150, deadline=None)
@given(actions)
def test_each_text_finds_its_own_again(actions):
    store, texts, sizes, stamp = make_store(), {}, {}, 0.0
    assert (store.capacity, store.token_bytes) == (ROOM, 4 * 9)
    for action, slot, other, count in actions:
        if action == "write" and count:
            fits = sum(sizes.values()) - sizes.get(slot, 0) + max(blocks(count), sizes.get(slot, 0)) <= ROOM
            if not fits:
                with pytest.raises(ValueError, match="do not fit"):
                    store.reserve(slot, count)
                continue
            allocation = store.reserve(slot, count)
            sizes[slot] = max(sizes.get(slot, 0), blocks(count))
            text = texts.setdefault(slot, [])
            while len(text) < count:
                stamp += 1
                text.append(stamp)
                for arena in (*store.keys, *store.values):
                    arena[allocation.offset + len(text) - 1] = stamp
            allocation.held = len(text)
        elif action == "trim":
            store.trim(slot, count)
            if slot in texts:
                texts[slot] = texts[slot][:count]
                sizes[slot] = min(sizes[slot], blocks(count))
                if not count:
                    del texts[slot], sizes[slot]
        elif action == "copy" and slot in texts and other != slot:
            count = min(count, len(texts[slot]))
            grown = max(blocks(count), sizes.get(other, 0))
            if count and sum(sizes.values()) - sizes.get(other, 0) + grown <= ROOM:
                store.copy(slot, other, count)
                texts[other], sizes[other] = texts[slot][:count], grown
        store.check_integrity()
        for slot, text in texts.items():
            allocation = store[slot]
            assert (allocation.held, allocation.size) == (len(text), sizes[slot])
            for arena in (*store.keys, *store.values):
                found = arena[allocation.offset : allocation.offset + allocation.held]
                assert torch.equal(found, torch.tensor(text).view(-1, 1, 1).expand_as(found))


def test_a_move_for_which_there_is_no_memory_changes_nothing(monkeypatch):
    store = make_store()
    for slot, tokens in enumerate((2 * BLOCK, BLOCK, 5 * BLOCK, 2 * BLOCK)):
        allocation = store.reserve(slot, tokens)
        allocation.held = tokens
        for arena in (*store.keys, *store.values):
            arena[allocation.offset : allocation.offset + tokens] = slot
    store.trim(1, 0)

    def no_memory(_: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patched:
        patched.setattr(torch.Tensor, "clone", no_memory)
        with pytest.raises(torch.OutOfMemoryError):
            store.reserve(0, 5 * BLOCK)
    for _ in range(2):  # as it was, and after the same once more with memory
        store.check_integrity()
        for slot in (0, 2, 3):
            allocation = store[slot]
            for arena in (*store.keys, *store.values):
                assert (arena[allocation.offset : allocation.offset + allocation.held] == slot).all()
        store.reserve(0, 5 * BLOCK)
    assert store[0].offset == 7 * BLOCK


def test_nothing_that_is_not_there_can_be_lent():
    store = make_store()
    store.reserve(0, 8).held = 8
    with pytest.raises(ValueError, match="cannot lend 9 tokens"):
        store.copy(0, 1, 9)
    with pytest.raises(ValueError, match="cannot lend"):
        store.copy(0, 0, 2)
