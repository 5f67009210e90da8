"""What was read for a text is kept for those that go on from it, and changes nothing that is written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.testing import (
    LoopbackTransport,
    ScriptedTarget,
    blurred,
    byte_tokenizer,
    random_script,
    scripted_bundle,
    scripted_edge,
)
from shared.errors import InputError

VOCABULARY = byte_tokenizer().get_vocab_size()
SCRIPT = random_script(VOCABULARY)
MODES = ("sprint", "exact", "local", "cloud", "auto")


class Device:
    """An edge that keeps some conversations, and its target."""

    def __init__(self, conversations: int, **options: Any) -> None:
        bundle = scripted_bundle(blurred(SCRIPT, 0.5))
        self.target = ScriptedTarget.of(bundle.manifest, SCRIPT)
        self.transport = LoopbackTransport(self.target)
        self.edge = scripted_edge(bundle=bundle, transport=self.transport, conversations=conversations, **options)


def alone(prompt: list[int], **options: Any) -> list[int]:
    """What a device writes that knows nothing else."""
    with scripted_edge(SCRIPT, blurred(SCRIPT, 0.5)) as edge:
        return edge.generate(prompt, **options).token_ids


def ids(length: int, seed: int) -> list[int]:
    """A prompt: letters, none of which ends a text."""
    chance = Random(seed)
    return [chance.randrange(40, 120) for _ in range(length)]


@pytest.mark.parametrize("mode", MODES)
def test_the_second_turn_is_read_only_where_it_is_new(mode):
    with (device := Device(1, mode=mode)).edge as edge:
        first = edge.generate(ids(80, 1), max_tokens=20, seed=1)
        assert (first.usage.reused_draft, first.usage.reused_target) == (0, 0)
        prompt = [*ids(80, 1), *first.token_ids, *ids(12, 2)]
        second = edge.generate(prompt, max_tokens=20, seed=2)
    known = 80 + len(first.token_ids) - 1  # the last token of a text may not have been read
    if mode in ("sprint", "local"):  # in the others this target answers before the draft has read anything
        assert second.usage.reused_draft >= known - 1
    if mode != "local":
        assert second.usage.reused_target >= known
        assert second.usage.bytes_prompt < 0.3 * first.usage.bytes_prompt
    if mode in ("exact", "cloud", "local"):
        assert second.token_ids == alone(prompt, mode=mode, max_tokens=20, seed=2)
    assert device.target.texts == {}, "closing the edge frees what was kept"


@given(
    st.integers(1, 3),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 20), st.sampled_from(["", "evict", "restart", "give up"])),
        max_size=8,
    ),
)
@settings(max_examples=60)
def test_whatever_goes_on_from_whatever_each_text_is_what_it_is_alone(kept, turns):
    """Several conversations in turn, more than are kept; the target may forget all of them at any time."""
    texts = {number: ids(20, number) for number in range(4)}
    with (device := Device(kept, mode="exact", max_tokens=24)).edge as edge:
        for turn, (number, added, event) in enumerate(turns):
            prompt = texts[number] = [*texts[number], *ids(added, 100 + turn)]
            wanted = alone(prompt, mode="exact", max_tokens=24, seed=turn)
            with edge.stream(prompt, seed=turn) as stream:
                if event == "give up":
                    assert next(stream).id == wanted[0]
                    continue
                found = stream.finish()
            assert found.token_ids == wanted
            texts[number] += found.token_ids[:-1]  # the last may end the text
            if event == "evict":
                device.target.evict()
            elif event == "restart":
                device.target.restart()
            assert len(device.target.texts) <= kept
    assert device.target.texts == {}


def test_conversations_at_once_do_not_share_what_they_keep():
    with Device(3, mode="exact", max_tokens=30).edge as edge, ThreadPoolExecutor(3) as threads:

        def talk(number: int) -> list[list[int]]:
            text, said = ids(30, number), []
            for turn in range(4):
                said.append(edge.generate(text, seed=turn).token_ids)
                text = [*text, *said[-1][:-1], *ids(5, 10 * number + turn)]
            return said

        together = list(threads.map(talk, range(3)))
    for number in range(3):
        text = ids(30, number)
        for turn, said in enumerate(together[number]):
            assert said == alone(text, mode="exact", max_tokens=30, seed=turn)
            text = [*text, *said[:-1], *ids(5, 10 * number + turn)]


def test_what_is_given_up_is_not_kept():
    with (device := Device(4, mode="cloud")).edge as edge:
        with edge.stream(ids(40, 1), max_tokens=50) as stream:
            next(stream)
        assert device.target.texts == {}
        edge.generate(ids(40, 1), max_tokens=5)
        assert len(device.target.texts) == 1


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_kept_unless_it_is_asked_for(mode):
    with (device := Device(0, mode=mode, max_tokens=10)).edge as edge:
        found = [edge.generate(ids(40, 1), seed=1) for _ in range(2)]
        assert device.target.texts == {}
    assert [each.usage.reused_draft + each.usage.reused_target for each in found] == [0, 0]


@pytest.mark.parametrize("wrong", [-1, 1.5, "two", None])
def test_a_wrong_number_is_refused(wrong):
    with pytest.raises(InputError, match="conversations"):
        scripted_edge(conversations=wrong)
