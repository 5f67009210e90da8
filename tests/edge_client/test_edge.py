"""Edge: bundle, target and promises composed once, for one text or several at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from edge_client.decoding.text import Origin, Retract
from edge_client.edge import Edge
from edge_client.promise.entries import Promise
from edge_client.promise.memory import Memory
from edge_client.testing import (
    LoopbackTransport,
    ManualClock,
    ScriptedTarget,
    blurred,
    byte_tokenizer,
    random_script,
    replies,
    scripted_bundle,
    scripted_edge,
)
from shared.chat import render_chat
from shared.config import Mode
from shared.errors import BundleError, ContextLengthError, InputError, TargetMismatch, TargetUnavailable
from tests.edge_client.scripted_device import fake_bundle, fake_edge, manifest

VOCABULARY = byte_tokenizer().get_vocab_size()
MODES = ("sprint", "exact", "cloud", "local")
PROMPTS = ([0, 270, 280], [0, 290, 300], [0, 265, 310], [0, 330, 262])


# What it writes.


@pytest.mark.parametrize("mode", MODES)
def test_a_completion_says_everything_about_its_text(mode):
    with fake_edge(max_tokens=40) as edge:
        done = edge.generate("Tom", mode=mode)
    assert (str(done.mode), str(done.finish_reason)) == (mode, "length")
    assert len(done.token_ids) == len(done.origins) == done.usage.tokens == 40
    assert done.text == edge.bundle.tokenizer.decode(done.token_ids)
    assert done.prompt_tokens == len(edge.bundle.tokenizer.encode("Tom").ids)
    assert {**done.as_dict(), "text": done.text}["tokens"] == 40
    if mode == "local":
        assert (done.usage.calls, done.audit.rate, done.audit.tokens) == (0, None, 0)
    else:
        assert done.usage.calls > 0
        assert done.audit.rate == done.audit.counts.off_typical / done.audit.tokens
    if mode in ("exact", "cloud"):
        assert (done.audit.rate, done.audit.tokens) == (0.0, 40)


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_gives_the_tokens_of_the_completion(mode):
    with fake_edge(max_tokens=30, mode=mode) as edge:
        done = edge.generate([1, 2, 3])
    with fake_edge(max_tokens=30, mode=mode) as edge, edge.stream([1, 2, 3]) as stream:
        tokens = list(stream)
    assert [token.id for token in tokens] == done.token_ids == stream.completion.token_ids
    assert [token.origin for token in tokens] == done.origins
    assert "".join(token.text for token in tokens) == done.text == stream.completion.text
    assert list(stream) == []


def test_text_and_ids_are_the_same_prompt():
    with fake_edge(max_tokens=20, mode="cloud") as edge:
        ids = edge.bundle.tokenizer.encode("Tom").ids
        assert edge.generate("Tom").token_ids == edge.generate(ids).token_ids == edge.generate(tuple(ids)).token_ids


def test_a_chat_is_a_text_after_its_rendered_turns():
    turns = [{"role": "user", "content": "A table?"}, {"role": "assistant", "content": "When?"}]
    with scripted_edge(max_tokens=20, mode="cloud") as edge:
        assert edge.chat(turns).token_ids == edge.generate(render_chat(turns)).token_ids


def test_options_of_a_text_go_before_those_of_the_edge():
    with fake_edge(max_tokens=9, mode="cloud", stop="never") as edge:
        assert edge.generate("Tom").usage.tokens == 9
        short = edge.generate("Tom", max_tokens=3, mode="exact")
        assert (short.usage.tokens, short.mode) == (3, Mode.EXACT)
        assert edge.generate("Tom").usage.tokens == 9
        assert edge.settings.stop == ("never",)


def test_without_a_target_it_writes_alone():
    with Edge(bundle=fake_bundle(), max_tokens=5) as edge:
        assert edge.generate("Tom").mode is Mode.LOCAL
        with pytest.raises(InputError, match="there is no target to ask") as caught:
            edge.generate("Tom", mode="sprint")
        assert caught.value.options == ("target", "mode local")


def test_a_budget_of_nothing_is_exact():
    with fake_edge(max_tokens=20) as edge:
        nothing = edge.generate("Tom", budget=0)
        assert nothing.mode is Mode.EXACT
        assert nothing.token_ids == edge.generate("Tom", mode="cloud").token_ids


# Several at once.


@pytest.mark.parametrize("mode", MODES)
def test_streams_at_once_from_several_threads_give_what_each_gives_alone(mode):
    """Each thread waits for the others after every token, so that all texts are under way all the time."""
    options = {"mode": mode, "max_tokens": 40, "criterion": "strict", "budget": 0.1}

    def alone(prompt: list[int]) -> list[int]:
        with fake_edge(**options) as edge:
            return edge.generate(prompt).token_ids

    expected = [alone(prompt) for prompt in PROMPTS]
    together = threading.Barrier(len(PROMPTS), timeout=30)
    with fake_edge(**options) as edge, ThreadPoolExecutor(len(PROMPTS)) as threads:

        def beside_others(prompt: list[int]) -> list[int]:
            ids = []
            with edge.stream(prompt) as stream:
                for token in stream:
                    together.wait()
                    ids.append(token.id)
            return ids

        assert list(threads.map(beside_others, PROMPTS)) == expected


@pytest.mark.parametrize("kept", [True, False])
def test_streams_at_once_share_one_promise(tmp_path, kept):
    options = {"max_tokens": 40, "criterion": "strict", "budget": 0.1}
    both_began = threading.Barrier(2, timeout=30)
    with fake_edge(memory=tmp_path if kept else False, **options) as edge, ThreadPoolExecutor(2) as threads:

        def write(prompt: list[int]) -> int:
            with edge.stream(prompt) as stream:
                next(iter(stream))
                both_began.wait()
                return stream.finish().audit.tokens

        known = sum(threads.map(write, PROMPTS[:2]))
        promise = Promise.of(edge.settings, "scripted")
        entries = Memory.open(manifest(), tmp_path).entries if kept else edge._memory.entries
        assert list(entries) == [promise]
        assert (entries[promise].texts, entries[promise].counts.known) == (2, known)
        assert entries[promise].steering.tokens == known
        # The next text goes on from what both have taught.
        assert edge.generate(PROMPTS[2]).usage.tokens == 40
        after = (Memory.open(manifest(), tmp_path) if kept else edge._memory).entries[promise]
        assert after.steering.tokens > known


def test_a_promise_of_another_budget_is_another_promise():
    with fake_edge(max_tokens=10) as edge:
        for options in ({}, {"budget": 0.3}, {"criterion": "strict"}, {"temperature": 1.0}, {"seed": 5}):
            edge.generate("Tom", **options)
        assert sorted(entry.texts for entry in edge._memory.entries.values()) == [1, 1, 1, 2]


def test_models_are_made_once_for_each_text_at_a_time():
    made = []
    bundle = fake_bundle()
    make = bundle.models._make
    bundle.models._make = lambda: made.append(1) or make()
    with Edge(bundle=bundle, max_tokens=5) as edge:
        for _ in range(3):
            edge.generate("Tom")
        assert len(made) == 1
        first, second = edge.stream("Tom"), edge.stream("Tom")
        assert [next(iter(first)).id, next(iter(second)).id]
        assert len(made) == 2
        first.close()
        second.close()
        edge.generate("Tom")
        assert len(made) == 2


# What is given up.


def test_a_stream_that_is_left_early_is_given_up_and_released():
    transport = LoopbackTransport(ScriptedTarget(random_script(VOCABULARY), VOCABULARY))
    with scripted_edge(transport=transport, max_tokens=100, mode="exact") as edge:
        with edge.stream("Tom") as stream:
            assert len(list(islice(stream, 10))) == 10
        assert stream.completion.finish_reason is None
        assert stream.completion.usage.tokens == 10
        assert len(transport.released) == 1
        stream.close()
    assert transport.closed


def test_a_stream_that_never_began_leaves_nothing():
    transport = LoopbackTransport(ScriptedTarget(random_script(VOCABULARY), VOCABULARY))
    with scripted_edge(transport=transport) as edge:
        edge.stream("Tom").close()
        assert transport.released == []
        assert transport.service.texts == {}


def test_an_error_in_the_middle_gives_the_models_back():
    class Dead(LoopbackTransport):
        def open(self):
            raise TargetUnavailable("gone")

    target = ScriptedTarget(random_script(VOCABULARY), VOCABULARY)
    with scripted_edge(transport=Dead(target)) as edge:
        for _ in range(3):
            with pytest.raises(TargetUnavailable, match="gone"):
                edge.generate("Tom", mode="cloud")
        assert len(edge.bundle.models._idle) == 1


# What cannot be used.


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode": "Exact"}, "mode must be one of sprint, exact, local, cloud, not 'Exact'"),
        ({"criterion": "loose"}, "criterion must be one of typical, strict"),
        ({"coupling": "none"}, "coupling must be one of gumbel, residual"),
        ({"budget": 2}, "budget must be a share of the tokens shown, between 0 and 1, not 2"),
        ({"max_tokens": 0}, "max_tokens must be 1 or more"),
        ({"window": 0}, "window must be between 1 and 256 tokens, not 0"),
        ({"stop": ["a", ""]}, "a stop string must not be empty"),
        ({"temperature": -1}, "temperature must be between"),
        ({"max_token": 5}, "there is no option 'max_token'; the options are mode, budget"),
    ],
)
def test_options_that_cannot_be_used_are_refused_at_once(options, sentence):
    with fake_edge() as edge, pytest.raises(InputError, match=sentence) as caught:
        edge.stream("Tom", **options)
    assert caught.value.options == tuple(name for name in options if name != "max_token")
    with pytest.raises(InputError, match=sentence):
        fake_edge(**options)


def test_a_stream_that_was_closed_before_it_began_has_no_text():
    with fake_edge() as edge:
        stream = edge.stream("Tom")
        stream.close()
        with pytest.raises(InputError, match="closed before it had begun"):
            stream.finish()


def test_prompts_that_cannot_be_used_are_refused_before_the_text_begins():
    with fake_edge() as edge:
        for prompt, kind in (
            ("", InputError),
            ([], InputError),
            ([10**6], InputError),
            ([5] * 600, ContextLengthError),
        ):
            with pytest.raises(kind):
                edge.stream(prompt)


def test_a_bundle_that_is_not_there(tmp_path):
    with pytest.raises(BundleError, match="there is no bundle at"):
        Edge(bundle=tmp_path / "nothing")


def test_a_target_with_other_tokens_is_refused_and_not_kept():
    transport = LoopbackTransport(ScriptedTarget(random_script(VOCABULARY), VOCABULARY, tokenizer_fingerprint="other"))
    edge = scripted_edge(transport=transport)
    for _ in range(2):
        with pytest.raises(TargetMismatch):
            edge.generate("Tom")
    assert transport.closed


def test_a_memory_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with fake_edge(memory=tmp_path / "file" / "below", max_tokens=5) as edge:
        done = edge.generate("Tom")
        assert done.usage.tokens == 5
        assert "could not be kept" in done.warnings[-1]


# Provisional tokens.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("blur", [0.0, 0.5, 3.0])
def test_provisional_tokens_end_as_the_settled_text(mode, blur):
    """Whatever is shown and taken back on the way, what is left is the text, and the settled tokens come in order."""
    script = random_script(VOCABULARY)

    def edge() -> Edge:
        bundle = scripted_bundle(blurred(script, blur), doubt=lambda step, draw: float(draw.log_q < -1))
        return scripted_edge(script, bundle=bundle, max_tokens=40, mode=mode, window=5, budget=0.3)

    expected = edge().generate("Tom")
    ids: list[int] = []
    pieces: list[str] = []
    provisional = 0
    with edge().stream("Tom", provisional=True) as stream:
        for event in stream:
            if isinstance(event, Retract):
                assert event.tokens <= provisional
                assert "".join(pieces[-event.tokens :]) == event.text
                del ids[-event.tokens :], pieces[-event.tokens :]
                provisional = 0
            else:
                ids.append(event.id)
                pieces.append(event.text)
                provisional = provisional + 1 if event.origin is Origin.DRAFTED else 0
    assert (ids, "".join(pieces)) == (expected.token_ids, expected.text)
    assert stream.completion.token_ids == expected.token_ids
    assert Origin.DRAFTED not in stream.completion.origins


def test_provisional_tokens_stop_where_the_text_would():
    answer = [*byte_tokenizer().encode(" and Anna. Then").ids]
    script = replies(VOCABULARY, {(*byte_tokenizer().encode("Tom").ids,): answer}, end_id=0)
    bundle = scripted_bundle(script)
    target = LoopbackTransport(ScriptedTarget.of(bundle.manifest, script))
    with Edge(bundle=bundle, transport=target, memory=False, clock=ManualClock(), stop="Anna") as edge:
        with edge.stream("Tom", provisional=True, mode="exact", window=20) as stream:
            shown = "".join(event.text for event in stream if not isinstance(event, Retract))
        assert shown == stream.completion.text == " and "
