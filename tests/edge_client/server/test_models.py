"""The models that are listed: the present bundle, whatever it was when a client was told of it."""

from __future__ import annotations

import openai
import pytest

from edge_client.bundles.following import FRESH
from shared.config import Mode
from tests.edge_client.bundles.offers import made, wait_for_errands
from tests.edge_client.bundles.world import World
from tests.edge_client.server.serving import Served, served


@pytest.fixture
def world(monkeypatch, tmp_path) -> World:
    world = World(monkeypatch, tmp_path)
    world.serve(made(tmp_path / "one"))
    return world


def listed(client: Served) -> list[str]:
    return [model.id for model in client.models.list()]


def names(bundle: str) -> list[str]:
    return [bundle, *(f"{bundle}:{mode}" for mode in Mode)]


def write(client: Served, model: str) -> openai.types.Completion:
    return client.completions.create(model=model, prompt="Tom", max_tokens=3, seed=1)


def test_they_follow_the_bundle_and_earlier_names_are_understood(world, tmp_path):
    with world.edge() as edge, served(edge) as client:
        assert listed(client) == names("one")
        assert write(client, "one").model == "one"
        with pytest.raises(openai.NotFoundError):
            write(client, "two")
        world.target.offer(made(tmp_path / "two", "two"))
        world.clock.sleep(FRESH + 1)
        write(client, "one")
        assert listed(client) == names("one"), "it is on its way"
        wait_for_errands()
        write(client, "one:exact")
        assert listed(client) == names("two")
        assert client.get("/../health", cast_to=dict)["model"] == "two"
        for name in ("one", "two"):
            assert write(client, name).model == name
            assert write(client, f"{name}:exact").usage.tandem[0]["mode"] == "exact"
            assert client.models.retrieve(f"{name}:cloud").id == f"{name}:cloud"
        with pytest.raises(openai.NotFoundError, match="there is no model 'three' here, but two, two:sprint"):
            write(client, "three")


def test_a_name_that_nobody_asked_about_is_known_too(world, tmp_path):
    """That of the bundle at the start."""
    with world.edge() as edge, served(edge) as client:
        world.target.offer(made(tmp_path / "two", "two"))
        world.clock.sleep(FRESH + 1)
        edge.generate("Tom")
        wait_for_errands()
        edge.generate("Tom")
        assert write(client, "one").choices[0].text
        assert listed(client) == names("two")
