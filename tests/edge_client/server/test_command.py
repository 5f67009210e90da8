"""`edge-client serve` as a process: what it says, whom it serves, and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import perf_counter

import openai
import pytest

from edge_client.server.serve import GRACE
from tests.certificates import Authority

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "edge_client", "serve", "--mode", "local", "--no-memory"]


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it says it serves."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r" on (https?://\S+)/v1,", line)
            assert found, line
            yield process, found[1]
        finally:
            process.kill()


def end(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    """Send a signal; status and what else was said."""
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_the_embedded_models_until_a_signal(number):
    with running() as (process, address):
        with openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client:
            got = client.completions.create(model="pocket", prompt="Once upon a time", max_tokens=8, seed=1)
            again = client.completions.create(model="pocket", prompt="Once upon a time", max_tokens=8, seed=1)
        assert got.usage.completion_tokens == 8
        assert got.choices[0].text == again.choices[0].text
        assert end(process, number) == (0, "", "")


def test_texts_under_way_are_given_up_after_a_grace_and_their_readers_told():
    """256 texts, one after the other, take longer than that."""
    with running("--texts", "1", "--waiting", "256") as (process, address):
        told: list[str] = []
        begun = Event()

        def read() -> None:
            with openai.OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0) as client:
                try:
                    prompts = ["Once upon a time, there was a"] * 16
                    asked = {"model": "pocket", "prompt": prompts, "n": 16, "max_tokens": 900, "stream": True}
                    for chunk in client.completions.create(**asked, timeout=60):
                        begun.set()
                        told.append(chunk.choices[0].finish_reason or "")
                except openai.APIError as error:
                    told.append(str(error.code))

        reader = Thread(target=read)
        reader.start()
        assert begun.wait(30)
        begin = perf_counter()
        status, _, err = end(process, signal.SIGTERM)
        reader.join(30)
        assert not reader.is_alive()
        assert (status, err) == (0, "")
        assert perf_counter() - begin < GRACE + 10
        assert told[-1] in ("shutting_down", "cancelled")


def test_https_with_a_key(tmp_path):
    authority = Authority(tmp_path / "certificates")
    pair = authority.issue("server")
    (tmp_path / "key").write_text("a-key-of-16-signs\n")
    options = ("--host", "127.0.0.1", "--api-key-file", str(tmp_path / "key"))
    with running(*options, "--https-cert", str(pair.cert), "--https-key", str(pair.key)) as (process, address):
        assert address.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(authority.cert))
        request = urllib.request.Request(f"{address}/v1/models", headers={"Authorization": "Bearer a-key-of-16-signs"})
        with urllib.request.urlopen(request, context=trust, timeout=20) as answer:
            assert answer.status == 200
        assert end(process, signal.SIGTERM) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "0.0.0.0"), "a key"),
        (("--port", "70000"), "--port"),
        (("--api-key-file", "/nowhere"), "/nowhere"),
        (("--https-cert", "/nowhere", "--https-key", "/nowhere"), "--https-cert"),
        (("--texts", "0"), "--texts"),
        (("--bundle", "/nowhere"), "/nowhere"),
        (("--explain",), "--explain"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(options, said):
    done = subprocess.run([*COMMAND, "--port", "0", *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"127.0.0.1:{port} cannot be listened on" in done.stderr
