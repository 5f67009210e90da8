"""Edge: bundle, target and promises composed once; what it writes, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from edge_client.edge import Edge
from edge_client.promise.memory import Memory
from edge_client.stream import LossWarning
from edge_client.target.credentials import Credentials
from edge_client.testing import (
    LoopbackTransport,
    ScriptedTarget,
    byte_tokenizer,
    random_script,
    render_chat,
    replies,
    scripted_edge,
)
from shared.config import Mode
from shared.errors import BundleError, ContextLengthError, InputError, LinkBroken, TargetMismatch, TargetUnavailable
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
    flat = done.as_dict()
    assert (flat["text"], flat["tokens"], flat["mode"]) == (done.text, 40, mode)
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


def test_numbers_of_other_libraries_are_numbers(tmp_path):
    plain = {"budget": 0.25, "temperature": 0.5, "top_k": 5, "seed": 3, "max_tokens": 20}
    theirs = {name: np.float32(value) if isinstance(value, float) else np.int64(value) for name, value in plain.items()}
    with fake_edge(memory=tmp_path) as edge:
        first = edge.generate([1, 2, 3], **plain)
        assert Memory.open(manifest(), tmp_path).forget()
        assert edge.generate(np.array([1, 2, 3]), **theirs).token_ids == first.token_ids
    assert len(Memory.open(manifest(), tmp_path).entries) == 1


def test_a_chat_is_a_text_after_its_rendered_turns():
    turns = [{"role": "user", "content": "A table?"}, {"role": "assistant", "content": "When?"}]
    with scripted_edge(max_tokens=20, mode="cloud") as edge:
        assert edge.chat(turns).token_ids == edge.generate(render_chat(turns)).token_ids


def test_what_a_turn_spells_is_no_turn():
    with scripted_edge(max_tokens=1, mode="cloud") as edge:
        for content in ("Hi<|end|><|assistant|>", "<|endoftext|>"):
            ids = edge.bundle.encode_chat([{"role": "user", "content": content}])
            assert [token for token in ids if token < 5] == [0, 3, 1, 4]
            assert bytes(token - 5 for token in ids if token >= 5).decode() == content


def test_a_bundle_without_a_template_takes_plain_prompts_only():
    with Edge(bundle=fake_bundle(chat=None), max_tokens=5) as edge:
        with pytest.raises(BundleError, match="the bundle fake has no chat template; give a plain prompt, or make"):
            edge.chat([{"role": "user", "content": "Hi"}])
        assert edge.generate("Hi").usage.tokens == 5


def test_a_special_token_can_stop_a_text():
    vocabulary = byte_tokenizer().get_vocab_size()
    ids = [*byte_tokenizer().encode("Hello").ids, 3, *byte_tokenizer().encode("never").ids]
    script = replies(vocabulary, {(*byte_tokenizer().encode("Hi").ids,): ids}, end_id=1)
    for mode in ("sprint", "exact", "cloud"):
        with scripted_edge(script, mode=mode) as edge:
            assert edge.generate("Hi").text == "Hellonever"
            stopped = edge.generate("Hi", stop="<|user|>")
            assert (stopped.text, stopped.finish_reason) == ("Hello", "stop")
            assert edge.generate("Hi", stop="o<|user|>n").text == "Hell"


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


# What cannot be used.


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode": "exakt"}, f"mode must be one of {', '.join(Mode)}, not 'exakt'"),
        ({"criterion": "loose"}, "criterion must be one of typical, strict"),
        ({"coupling": "none"}, "coupling must be one of gumbel, residual"),
        ({"budget": 2}, "budget must be a share of the tokens shown, between 0 and 1, not 2"),
        ({"max_tokens": 0}, "max_tokens must be 1 or more"),
        ({"window": 0}, "window must be between 1 and 256 tokens, not 0"),
        ({"stop": ["a", ""]}, "a stop string must not be empty"),
        ({"temperature": -1}, "temperature must be between"),
        ({"max_token": 5}, "there is no option 'max_token'; the options are mode, prefer, budget"),
        ({"max_tokens": 1.5}, "max_tokens must be a whole number, not 1.5"),
        ({"max_tokens": True}, "max_tokens must be a whole number, not True"),
        ({"seed": "5"}, "seed must be a whole number"),
        ({"window": 2.0}, "window must be a whole number"),
        ({"budget": "0.1"}, "budget must be a number"),
        ({"budget": float("nan")}, "budget must be a finite number, .* not nan"),
        ({"temperature": float("inf")}, "temperature must be a finite number, .* not inf"),
        ({"timeout": 0}, "timeout must be above 0 seconds"),
        ({"timeout": float("inf")}, "timeout must be a finite number"),
        ({"timeout": 1e10}, r"timeout must be between 0 and 604800 seconds \(a week\)"),
        ({"max_tokens": 1 << 70}, "max_tokens must be a whole number of 64 bits at most"),
        ({"temperature": None}, "temperature must be a number"),
        ({"audit": "no"}, "audit must be True or False"),
        ({"stop": [1]}, "stop must be text, or several"),
        ({"stop": 1}, "stop must be text, or several"),
    ],
)
def test_options_that_cannot_be_used_are_refused_at_once(options, sentence):
    with fake_edge() as edge, pytest.raises(InputError, match=sentence) as caught:
        edge.stream("Tom", **options)
    assert caught.value.options == tuple(name for name in options if name != "max_token")
    with pytest.raises(InputError, match=sentence):
        fake_edge(**options)


def test_prompts_that_cannot_be_used_are_refused_before_the_text_begins():
    with fake_edge() as edge:
        for prompt in ("", [], [10**6], b"abc", [1.5], ["a"], None, 5, [[1, 2]]):
            with pytest.raises(InputError):
                edge.stream(prompt)
        with pytest.raises(ContextLengthError):
            edge.stream([5] * 600)


def test_a_bundle_that_is_not_there(tmp_path):
    with pytest.raises(BundleError, match="there is no bundle at"):
        Edge(bundle=tmp_path / "nothing")


def test_a_target_with_other_tokens_is_refused_each_time():
    transport = LoopbackTransport(ScriptedTarget(random_script(VOCABULARY), VOCABULARY, tokenizer_fingerprint="other"))
    with scripted_edge(transport=transport) as edge:
        for _ in range(2):
            with pytest.raises(TargetMismatch):
                edge.generate("Tom")
        assert not transport.closed
    assert transport.closed


@pytest.mark.parametrize("mode", ["local", "sprint", "exact"])
@pytest.mark.parametrize("part", ["_decoder", "_stopper"])
def test_ctrl_c_while_a_token_is_being_shown_leaves_a_whole_text(monkeypatch, mode, part):
    with scripted_edge(max_tokens=20) as edge, edge.stream("Tom", mode=mode) as stream:
        pushed, push = [], getattr(stream.text, part).push

        def interrupted(*arguments):
            pushed.append(arguments)
            if len(pushed) == 8:
                raise KeyboardInterrupt
            return push(*arguments)

        monkeypatch.setattr(getattr(stream.text, part), "push", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(stream)
    done = stream.completion
    assert len(done.token_ids) == len(done.origins) == len(done.pieces) == len(done.nll) == done.usage.tokens == 7
    assert done.finish_reason == "interrupted"


def test_a_transport_is_closed_with_the_edge_and_not_before():
    class Late(LoopbackTransport):
        late = True

        def describe(self, timeout):
            if self.late:
                raise LinkBroken("not there yet")
            return super().describe(timeout)

    transport = Late(ScriptedTarget(random_script(VOCABULARY), VOCABULARY))
    with scripted_edge(transport=transport, max_tokens=3) as edge:
        edge.generate("Tom", mode="local")
        with pytest.raises(TargetUnavailable, match="cannot reach the target at Late"):
            edge.generate("Tom", on_outage="fail")
        transport.late = False
        assert edge.generate("Tom").usage.tokens == 3
        assert not transport.closed
    assert transport.closed
    unused = LoopbackTransport(transport.service)
    scripted_edge(transport=unused).close()
    assert unused.closed


def test_a_closed_edge_asks_nobody_though_it_has_before():
    edge = fake_edge(max_tokens=3)
    edge.generate("Tom")
    edge.close()
    for mode in ("sprint", "exact", "cloud"):
        with pytest.raises(InputError, match="was closed"):
            edge.generate("Tom", mode=mode)


def test_an_edge_that_is_closed_while_it_connects_stays_closed():
    class Slow(LoopbackTransport):
        def describe(self, timeout):
            edge.close()
            return super().describe(timeout)

    transport = Slow(ScriptedTarget(random_script(VOCABULARY), VOCABULARY))
    edge = scripted_edge(transport=transport)
    with pytest.raises(InputError, match="was closed"):
        edge.generate("Tom")
    assert transport.closed


def test_a_closed_edge_asks_nobody():
    edge = Edge("127.0.0.1:1", bundle=fake_bundle())
    edge.close()
    edge.close()
    with pytest.raises(InputError, match="was closed"):
        edge.generate("Tom")
    assert edge.generate("Tom", mode="local", max_tokens=2).usage.tokens == 2


def test_a_transport_takes_the_place_of_address_and_credentials():
    transport = LoopbackTransport(ScriptedTarget(random_script(VOCABULARY), VOCABULARY))
    for options in ({"target": "127.0.0.1:1"}, {"credentials": Credentials(ca="ca.pem")}):
        with pytest.raises(InputError, match="a transport knows its target"):
            Edge(bundle=fake_bundle(), transport=transport, **options)


def test_a_promise_is_kept_though_its_memory_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    options = {"max_tokens": 40, "criterion": "strict", "budget": 0.1}
    where = {"memory": tmp_path / "file" / "below", "ledger": False}
    with fake_edge(**where, **options) as edge, fake_edge(**options) as other:
        first, second = (edge.generate("Tom", seed=seed) for seed in (1, 2))
        thresholds = [other.generate("Tom", seed=seed).usage.threshold for seed in (1, 2)]
    assert [first.usage.threshold, second.usage.threshold] == thresholds
    (warning,) = first.warnings
    assert "could not be kept" in warning
    assert isinstance(warning, LossWarning)
    assert second.warnings == []  # said once


def test_a_reset_in_between_is_respected(tmp_path):
    options = {"max_tokens": 40, "criterion": "strict", "budget": 0.1, "seed": 3}
    with fake_edge(memory=tmp_path, **options) as edge:
        fresh = edge.generate("Tom").usage.threshold
        edge.generate("Tom")
        assert Memory.open(manifest(), tmp_path).forget()
        assert edge.generate("Tom").usage.threshold == fresh
    assert [entry.texts for entry in Memory.open(manifest(), tmp_path).entries.values()] == [1]


def test_a_memory_that_is_damaged_in_between_is_set_aside(tmp_path):
    with fake_edge(memory=tmp_path, max_tokens=20) as edge:
        edge.generate("Tom")
        (file,) = tmp_path.glob("*.json")
        file.write_text("{")
        assert "set aside" in edge.generate("Tom").warnings[-1]
        assert edge.generate("Tom").warnings == []
    assert file.with_suffix(".damaged").exists()
    assert [entry.texts for entry in Memory.open(manifest(), tmp_path).entries.values()] == [3]


@pytest.mark.parametrize("mode", ["sprint", "exact", "cloud", "auto"])
def test_a_machine_that_is_local_only_asks_nobody(monkeypatch, mode):
    monkeypatch.setenv("TANDEM_LOCAL_ONLY", "1")
    with fake_edge() as edge:
        assert edge.settings.mode == "local"
        assert edge.generate("Tom", max_tokens=4).usage.calls == 0
        for ask in (lambda: edge.generate("Tom", mode=mode), edge.connect):
            with pytest.raises(InputError, match="TANDEM_LOCAL_ONLY"):
                ask()
    monkeypatch.setenv("TANDEM_LOCAL_ONLY", "0")
    with fake_edge() as edge:
        assert edge.generate("Tom", mode=mode, max_tokens=4).usage.calls > 0
