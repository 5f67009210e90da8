"""Texts that the target writes with its adapters: each is the one that this very model writes, and learned of apart."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.testing.in_process import InProcessTarget
from edge_client.bundles.following import Following
from edge_client.cli.main import main, parse_args
from edge_client.doctor.deadline import Deadline
from edge_client.doctor.remote import Remote
from edge_client.edge import Edge
from edge_client.settings import Settings
from edge_client.target.description import Description
from edge_client.testing import (
    LoopbackTransport,
    ManualClock,
    blurred,
    byte_tokenizer,
    random_script,
    scripted_bundle,
    scripted_edge,
)
from shared.errors import InputError, ProtocolError
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.server.serving import served

VOCABULARY = byte_tokenizer().get_vocab_size()
BASE, ADAPTERS = (
    random_script(VOCABULARY),
    {"poet": random_script(VOCABULARY, 1), "clerk": random_script(VOCABULARY, 2)},
)
SCRIPTS = {"": BASE} | ADAPTERS
# Modes in which texts are the target's own.
MODES: dict[str, dict[str, Any]] = {"cloud": {}, "exact": {}, "sprint": {"budget": 0.0}}


def target() -> InProcessTarget:
    return InProcessTarget(lambda: ScriptedEngine(BASE, VOCABULARY, 16, 512, adapters=ADAPTERS))


def edge_to(target: InProcessTarget, **options: Any) -> Edge:
    made: dict[str, Any] = {"memory": False, "clock": ManualClock(), "bundle": scripted_bundle(blurred(BASE, 0.5))}
    return Edge(transport=LoopbackTransport(target), **made | {"max_tokens": 24, "temperature": 0.8} | options)


def ids(seed: int, length: int = 40) -> list[int]:
    return [40 + (7 * seed + i * i) % 60 for i in range(length)]


def expected(adapter: str, prompt: list[int], **options: Any) -> list[int]:
    """What a target writes that is nothing but this one."""
    with scripted_edge(SCRIPTS[adapter], blurred(BASE, 0.5), max_tokens=24, temperature=0.8) as edge:
        return edge.generate(prompt, mode="cloud", **options).token_ids


@pytest.mark.parametrize("conversations", [0, 4])
def test_texts_side_by_side_are_those_of_each_adapter_alone(conversations):
    jobs = [*product(range(3), SCRIPTS, MODES)]
    with edge_to(target(), conversations=conversations) as edge, ThreadPoolExecutor(4) as pool:

        def write(job: tuple[int, str, str]) -> list[int]:
            seed, adapter, mode = job
            return edge.generate(ids(seed), mode=mode, adapter=adapter, seed=seed, **MODES[mode]).token_ids

        found = [*pool.map(write, jobs)]
    wanted = {(seed, name): expected(name, ids(seed), seed=seed) for seed in range(3) for name in SCRIPTS}
    assert found == [wanted[seed, adapter] for seed, adapter, _ in jobs]
    assert len(set(map(tuple, wanted.values()))) == len(wanted)


@given(st.lists(st.tuples(st.sampled_from([*SCRIPTS]), st.sampled_from(["", "evict", "restart"])), max_size=6))
@settings(max_examples=30)
def test_a_conversation_may_go_from_adapter_to_adapter(turns):
    there, prompt = target(), ids(5)
    with edge_to(there, mode="exact", conversations=2) as edge:
        for seed, (adapter, event) in enumerate(turns):
            text = edge.generate(prompt, adapter=adapter, seed=seed).token_ids
            assert text == expected(adapter, prompt, seed=seed)
            prompt = [*prompt, *text, *ids(seed, 8)]
            if event:
                getattr(there, event)()


def test_the_second_turn_with_an_adapter_is_read_only_where_it_is_new():
    with edge_to(target(), mode="cloud", conversations=4) as edge:
        texts = {name: edge.generate(ids(1), adapter=name).token_ids for name in SCRIPTS}
        for name, text in texts.items():
            again = edge.generate([*ids(1), *text, *ids(2, 8)], adapter=name)
            assert again.usage.reused_target >= len(ids(1)) + len(text) - 1


def test_what_is_learned_is_kept_by_adapter(tmp_path):
    with edge_to(target(), memory=tmp_path, mode="auto", budget=0.05) as edge:
        for name in ("", "poet", "poet"):
            edge.generate(ids(3), adapter=name)
    pace, promises = sorted(tmp_path.glob("*.json"), key=lambda path: not path.name.endswith(".pace.json"))[:2]
    known = {"scripted", "scripted with poet"}
    assert {one["fingerprint"] for one in json.loads(pace.read_text())["targets"]} == known
    assert {one["promise"]["target"] for one in json.loads(promises.read_text())["entries"]} == known
    spent = "".join(path.read_text() for path in tmp_path.rglob("*.json") if path not in (pace, promises))
    assert all(f'"{one}"' in spent for one in known)


def test_the_bundle_was_not_calibrated_with_an_adapter_and_that_is_said():
    with edge_to(target()) as edge:
        assert not any("was trained for" in said for said in edge.generate(ids(1)).warnings)
        said = edge.generate(ids(1), adapter="poet").warnings
    assert any("this target is scripted with poet" in one for one in said)


@pytest.mark.parametrize("mode", [*MODES, "auto"])
def test_an_unknown_adapter_is_refused_with_those_that_there_are(mode):
    with edge_to(target(), mode=mode, adapter="pirate") as edge:
        with pytest.raises(InputError, match=r"scripted at .* has no adapter 'pirate'; what it has is poet, clerk"):
            edge.generate(ids(1))
        assert edge.generate(ids(1), adapter="clerk").token_ids
        assert edge.generate(ids(1), mode="local").token_ids
    with (
        scripted_edge(adapter="pirate") as edge,
        pytest.raises(InputError, match="'pirate'; it has none; leave it out"),
    ):
        edge.generate(ids(1))


def test_an_adapter_that_is_gone_ends_its_texts_and_those_of_the_target_go_on():
    there = target()
    with edge_to(there, mode="cloud") as edge:
        assert edge.generate(ids(1), adapter="poet").token_ids
        there._make_engine = lambda: ScriptedEngine(BASE, VOCABULARY, 16, 512)
        there.restart()
        with pytest.raises(InputError, match="has no adapter 'poet'; it has none"):
            edge.generate(ids(1), adapter="poet")
        assert edge.generate(ids(1)).token_ids == expected("", ids(1))


def test_a_request_to_the_server_may_name_one():
    with served(edge_to(target(), mode="cloud", temperature=0.0)) as client:

        def write(**tandem: Any) -> str:
            body = {"tandem": tandem}
            got = client.completions.create(model="scripted", prompt="Once", max_tokens=12, seed=1, extra_body=body)
            return got.choices[0].text

        texts = [write(), write(adapter="poet"), write(adapter="clerk"), write(adapter=""), write(adapter=None)]
        assert len(set(texts)) == 3
        assert texts[0] == texts[3] == texts[4]
        with pytest.raises(openai.BadRequestError, match="has no adapter 'pirate'") as refused:
            write(adapter="pirate")
        assert refused.value.param == "tandem.adapter"


def test_the_command_line_names_one(monkeypatch, capsys):
    assert parse_args(["Once"]).adapter == Settings.adapter == ""
    assert parse_args(["serve", "--adapter", "poet"]).adapter == "poet"
    bundle = scripted_bundle(blurred(BASE, 0.5))
    monkeypatch.setattr("edge_client.bundles.bundle.Bundle.load", lambda *_: bundle)
    monkeypatch.setattr(
        "edge_client.target.grpc_transport.GrpcTransport", lambda *_: LoopbackTransport(target()), raising=True
    )
    words = ["--bundle", "any", "--mode", "cloud", "--max-tokens", "9", "--seed", "3", "--no-memory", "-q", "Once"]
    texts = []
    for adapter in ("", "poet"):
        assert main([*words, "--adapter", adapter]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] != texts[1]
    assert main([*words, "--adapter", "pirate"]) == InputError.exit_status
    assert "has no adapter 'pirate'; what it has is poet, clerk (--adapter)" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x" * 65, "naïve", "a\nb"])
def test_a_name_that_is_none_is_nonsense(name):
    told = target().describe()
    told.adapters.append(wire.Adapter(name=name, fingerprint="f"))
    with pytest.raises(ProtocolError, match="a fingerprint or name that is longer than 64 characters"):
        Description.from_wire(told)


@pytest.mark.parametrize(("adapter", "counts"), [("", 1), ("poet", 0)])
def test_a_bundle_is_not_tried_by_what_an_adapter_needs(adapter, counts):
    told: list[str] = []
    bundle, client = object(), SimpleNamespace(adapter=adapter, address="there")
    probation = SimpleNamespace(wrote=lambda *_: told.append(adapter))
    source: Any = SimpleNamespace(_bundle=bundle, _probation=probation, _digest="", _is_settling=True)
    Following.wrote(source, bundle, client, "f", Settings(), None)
    assert len(told) == counts


def test_the_doctor_lists_them():
    transport: Any = SimpleNamespace(describe=lambda *_: target().describe())
    remote = Remote(transport, "there", None, Settings(), Deadline(9.0))
    [told] = [found for found in dict(remote.checks())["describe"]() if found.name == "describe"]
    assert told.sentence.endswith("adapters poet, clerk")
    assert told.values["adapters"] == {"poet": "scripted with poet", "clerk": "scripted with clerk"}
