"""What vLLM is told of adapters, what is made of its refusals, and how answers are compared at the start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest

from cloud_target.engine.adapters import LocalAdapter
from cloud_target.engine.apart.messages import Features
from cloud_target.engine.interface import Adapter, Description, Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.engine.vllm import lora
from cloud_target.engine.vllm.plugin import complete
from shared.errors import InputError

VOCABULARY = 50
SCRIPTS = {"poet": random_script(VOCABULARY, 1), "clerk": random_script(VOCABULARY, 2)}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of vLLM, which takes no adapter that lies beside the others."""
    taken = SimpleNamespace(validate_legal=lambda config: None)

    def from_local_dir(directory: str, _: None) -> SimpleNamespace:
        if not directory.startswith("/adapters/"):
            raise ValueError("vLLM does not yet support DoRA.\nTraceback")
        return taken

    for module, name, value in (
        ("vllm.config.lora", "MaxLoRARanks", Literal[1, 8, 16]),
        ("vllm.config.lora", "LoRAConfig", lambda **_: None),
        ("vllm.lora.peft_helper", "PEFTHelper", SimpleNamespace(from_local_dir=from_local_dir)),
        ("vllm.lora.request", "LoRARequest", lambda *values: values),
        ("vllm.distributed", "get_pp_group", lambda: SimpleNamespace(world_size=1)),
    ):
        if module not in sys.modules:
            monkeypatch.setitem(sys.modules, module, ModuleType(module))
        monkeypatch.setattr(sys.modules[module], name, value, raising=False)


def local(name: str, rank: int, *layers: str) -> LocalAdapter:
    return LocalAdapter(Adapter(name, f"of {name}"), Path("/adapters") / name, rank, frozenset(layers))


def test_vllm_is_told_how_many_there_are_and_what_they_change(known):
    both = [local("poet", 4, "q_proj"), local("clerk", 9, "q_proj", "down_proj")]
    told = lora.options(both, is_cpu=False)
    assert (told["max_loras"], told["max_lora_rank"]) == (2, 16)
    assert told["lora_target_modules"] == ["down_proj", "q_proj"]
    assert lora.options(both, is_cpu=True)["max_loras"] == 3
    assert lora.options([], is_cpu=True) == {}
    with pytest.raises(InputError, match="clerk cannot be used: its rank is 17, and vLLM takes at most 16"):
        lora.options([local("poet", 4), local("clerk", 17)], is_cpu=False)
    with pytest.raises(InputError, match=r"poet cannot be used: vLLM does not take it .*DoRA"):
        lora.options([replace(local("poet", 4), directory=Path("/elsewhere"))], is_cpu=False)


def test_each_is_loaded_and_a_refusal_names_it(known):
    asked: list[Any] = []
    assert lora.load(SimpleNamespace(add_lora=asked.append), [local("poet", 4), local("clerk", 4)]) == {
        "poet": ("poet", 1, "/adapters/poet"),
        "clerk": ("clerk", 2, "/adapters/clerk"),
    }
    assert [request[0] for request in asked] == ["poet", "clerk"]

    def refuse(_: Any) -> None:
        raise Exception("Call to add_lora failed: leave out\nTraceback")

    with pytest.raises(InputError, match=r"poet cannot be used: vLLM does not take it .*leave out"):
        lora.load(SimpleNamespace(add_lora=refuse), [local("poet", 4)])


@pytest.mark.parametrize(("layers", "refused"), [([], False), (["model.layers.9.q_proj"], True)])
def test_one_that_would_be_applied_in_part_is_refused_by_the_worker(known, layers, refused):
    loaded = SimpleNamespace(loras=dict.fromkeys(["model.layers.0.q_proj", *layers]))
    there: set[int] = set()
    manager = SimpleNamespace(modules={"model.layers.0.q_proj": None}, get_adapter=lambda _: loaded)
    worker = SimpleNamespace(_adapter_manager=manager, list_adapters=lambda: set(there))
    add = complete(lambda _, request: there.add(request.lora_int_id) or True)
    if refused:
        with pytest.raises(ValueError, match=r"leave out model\.layers\.9\.q_proj, and 1 of its layers"):
            add(worker, SimpleNamespace(lora_int_id=1))
    else:
        assert add(worker, SimpleNamespace(lora_int_id=1))
    assert add(worker, SimpleNamespace(lora_int_id=1)), "what is there is only touched"


class Flowing(Features):
    """An engine that answers at once, by scripts.

    Args:
        adapters: what it thinks with each.
        spoil: of the adapter's name and whether others are in the pass, what it thinks with instead.
    """

    is_there = True

    def __init__(self, adapters: dict[str, Any], spoil: Callable[[str, bool], str] = lambda name, _: name) -> None:
        self._engine = ScriptedEngine(random_script(VOCABULARY), VOCABULARY, 8, 64, adapters=adapters)
        super().__init__(**vars(Features.of(self._engine)))
        who = self.description
        self.description = Description(who.name, who.fingerprint, "", VOCABULARY, "float32", adapters=who.adapters)
        self._spoil, self._asked = spoil, []

    def start(self, feed: Feed, tenant: str, done: Callable[[Scores | Exception], None]) -> None:
        read_with = self._spoil(feed.adapter, feed.slot > 0)
        [found] = self._engine.forward([Feed(feed.slot, 0, feed.tokens, 0, feed.sampling, adapter=read_with)])
        done(found)

    def trim(self, slot: int, tokens: int = 0) -> None:
        self._engine.trim(slot, tokens)


def test_answers_with_adapters_are_the_same_beside_others_and_one_that_does_nothing_is_told_of():
    notes: list[str] = []
    lora.check(Flowing(SCRIPTS), notes.append)
    assert notes == []
    idle = SCRIPTS | {"novice": random_script(VOCABULARY)}
    lora.check(Flowing(idle), notes.append)
    assert notes == ["the adapter novice changes nothing in a text of 48 tokens; was it trained?"]
    lora.check(Flowing({}), notes.append)
    assert len(notes) == 1


def test_a_vllm_that_gives_rows_another_adapter_beside_others_is_refused():
    seen: list[str] = []

    def spoil(name: str, _: bool) -> str:
        seen.append(name)
        return "clerk" if not name and len(seen) > len(SCRIPTS) + 1 else name

    with pytest.raises(InputError, match="otherwise when others are in the pass"):
        lora.check(Flowing(SCRIPTS, spoil), lambda _: None)
    assert np.sum([name == "" for name in seen]) == 2
