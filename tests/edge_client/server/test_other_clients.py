"""Programs that others wrote, and that know nothing of Tandem: a command-line tool and a framework for agents."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_client.edge import Edge
from edge_client.testing import scripted_bundle, scripted_edge
from edge_client.testing.scripts import random_script
from edge_client.testing.tokenizer import byte_tokenizer
from tests.edge_client.server.serving import Served, served
from tests.edge_client.server.speaking import call, speaker, speaking_edge

pytestmark = pytest.mark.slow
SEED = 3

AGENT = """
import asyncio, json, sys
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

model = OpenAIChatModel("scripted:local", provider=OpenAIProvider(base_url=sys.argv[1], api_key="none"))
agent = Agent(model, instructions="Be brief.", model_settings={"max_tokens": 30, "seed": 3})

async def main():
    first = await agent.run("A table for two?")
    second = await agent.run("At seven.", message_history=first.all_messages())
    async with agent.run_stream("A table for two?") as stream:
        parts = [part async for part in stream.stream_text(delta=True, debounce_by=None)]
    tokens = first.usage.output_tokens
    print(json.dumps({"first": first.output, "second": second.output, "parts": parts, "tokens": tokens}))

asyncio.run(main())
"""

CALLING_AGENT = """
import asyncio, json, sys
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=sys.argv[1], api_key="none")

async def said_by(kind):
    agent, booked = Agent(kind("scripted:exact", provider=provider), instructions="Be brief."), []

    @agent.tool_plain
    def book(guests: int, place: str) -> str:
        \"\"\"Books a table.\"\"\"
        booked.append((guests, place))
        return f"{guests} {place}, table {len(booked)}"

    whole = await agent.run("A table for two?")
    async with agent.run_stream("A table for two?") as stream:
        parts = [part async for part in stream.stream_text(delta=True, debounce_by=None)]
    return [booked, whole.output, "".join(parts)]

async def main():
    print(json.dumps([await said_by(kind) for kind in (OpenAIChatModel, OpenAIResponsesModel)]))

asyncio.run(main())
"""


def readable_edge() -> Edge:
    """It writes letters only, so that no client has to make sense of broken characters."""
    vocabulary = byte_tokenizer()
    script = random_script(vocabulary.get_vocab_size())
    letters = [vocabulary.token_to_id(letter) for letter in "abcdefghijklmnopqrstuvwxyz"]

    def only_letters(text: tuple[int, ...]) -> object:
        logits = script(text).copy()
        wanted = logits[letters].copy()
        logits[:] = -40.0
        logits[letters] = wanted
        return logits

    return scripted_edge(bundle=scripted_bundle(only_letters))


@pytest.fixture
def client() -> Iterator[Served]:
    with readable_edge() as edge, served(edge) as client:
        yield client


def wanted(*turns: tuple[str, str]) -> str:
    with readable_edge() as edge:
        messages = [{"role": role, "content": content} for role, content in turns]
        return edge.chat(messages, mode="local", seed=SEED, max_tokens=30).text


def run(*words: str, home: Path) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "LLM_USER_PATH": str(home), "OPENAI_API_KEY": "none"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_llm_the_command_line_tool(client, tmp_path):
    model = {"model_id": "tandem", "model_name": "scripted:local", "api_base": f"http://{client.address}/v1"}
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([model]))  # which is YAML, too
    options = ("-m", "tandem", "-s", "Be brief.", "-o", "seed", str(SEED), "-o", "max_tokens", "30")
    expected = wanted(("system", "Be brief."), ("user", "A table for two?"))
    for more in ((), ("--no-stream",)):
        said = run("-m", "llm", *options, *more, "A table for two?", home=tmp_path)
        assert said.rstrip("\n") == expected
    again = run("-m", "llm", "-c", *options[4:], "At seven.", home=tmp_path)
    turns = [("system", "Be brief."), ("user", "A table for two?"), ("assistant", expected), ("user", "At seven.")]
    assert again.rstrip("\n") in (wanted(*turns), wanted(*turns[1:]))


def test_pydantic_ai_the_framework(client, tmp_path):
    said = json.loads(run("-c", AGENT, f"http://{client.address}/v1", home=tmp_path))
    first = wanted(("system", "Be brief."), ("user", "A table for two?"))
    turns = [("system", "Be brief."), ("user", "A table for two?"), ("assistant", first), ("user", "At seven.")]
    assert said["first"] == "".join(said["parts"]) == first
    assert said["second"] == wanted(*turns)
    assert said["tokens"] == len(first)


def test_an_agent_calls_a_function_and_says_what_came_of_it(tmp_path):
    """By chats, and by responses."""

    def reply(prompt: str) -> str:
        _, _, result = prompt.rpartition("Result of book: ")
        if result != prompt:
            return f"Booked: {result.removesuffix('<|end|>')}."
        told = "Be brief." in prompt and '"description": "Books a table."' in prompt
        return call("book", '{"guests": 2, "place": "inside"}') if told else "What?"

    with speaking_edge(speaker(reply)) as edge, served(edge) as client:
        said = json.loads(run("-c", CALLING_AGENT, f"http://{client.address}/v1", home=tmp_path))
    assert said == [[[[2, "inside"]] * 2, "Booked: 2 inside, table 1.", "Booked: 2 inside, table 2."]] * 2
