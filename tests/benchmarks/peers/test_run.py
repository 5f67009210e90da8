"""Systems take turns over a link; a peer that is missing or fails is left out, and nobody else is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.network.ping import Echo
from benchmarks.network.profiles import PROFILES
from benchmarks.peers.ours import CLOUD
from benchmarks.peers.run import PEERS, measure
from benchmarks.peers.systems import Link, Pair, Prompt, Session, System, Written
from shared.addresses import parse_address
from shared.errors import TandemError
from tests.benchmarks.peers.scripted import PAIR, PROMPTS, made_text, scripted


def run(*systems: System, until: float = 1e9, clock=lambda: 0.0):
    return measure(systems, PAIR, PROFILES["none"], PROMPTS, until, lambda words: None, clock)


def test_all_write_every_prompt_in_turn_and_another_is_first_each_time() -> None:
    log: list[tuple[str, str]] = []
    found = run(scripted("a", log), scripted("b", log))
    assert log == [("a", "one"), ("b", "one"), ("b", "two"), ("a", "two"), ("a", "three"), ("b", "three")]
    assert [[text.text for text in one.written] for one in found] == [["one", "two", "three"]] * 2


def test_no_prompt_is_begun_late_but_the_first() -> None:
    (found,) = run(scripted(), until=-1.0)
    assert [text.text for text in found.written] == ["one"]


def test_a_peer_that_is_not_installed_says_how_to_get_it() -> None:
    missing, there = run(scripted("missing", package="no_such_package_anywhere"), scripted("there", package="json"))
    assert (missing.written, missing.note) == ((), "not installed: pip install it")
    assert (len(there.written), there.note) == (3, "")


@pytest.mark.parametrize("where", ["open", "one", "two", "finish"])
def test_a_peer_that_fails_is_noted_and_the_others_go_on(where) -> None:
    log: list[tuple[str, str]] = []
    failing, other = run(scripted("failing", log, fails_at=where), scripted("other", log))
    assert (failing.written, failing.note) == ((), f"no luck with {where}")
    assert len(other.written) == 3
    assert [text for name, text in log if name == "other"] == ["one", "two", "three"]
    assert [text for name, text in log if name == "failing"] == {"open": [], "one": ["one"], "two": ["one", "two"]}.get(
        where, ["one", "two", "three"]
    )


@pytest.mark.parametrize("where", ["open", "one", "finish"])
def test_nothing_may_go_wrong_with_ours(where) -> None:
    with pytest.raises(TandemError, match="no luck"):
        run(scripted(CLOUD, fails_at=where, is_ours=True))


def test_no_peer_is_taken_for_ours() -> None:
    assert not any(peer.is_ours for peer in PEERS)
    assert all(peer.install for peer in PEERS if peer.package)


@pytest.mark.slow
def test_what_a_system_sends_while_it_writes_is_counted_and_nothing_else() -> None:
    """It sends a hundred bytes to get ready, and ten for each prompt; an echo sends them back."""

    @contextmanager
    def open_(pair: Pair, link: Link, patience: float) -> Iterator[Session]:
        with Echo("127.0.0.1") as echo, socket.create_connection(parse_address(link(f"127.0.0.1:{echo.port}"))) as way:

            def exchange(size: int) -> None:
                way.sendall(bytes(size))
                while size:
                    size -= len(way.recv(size))

            class Sender:
                def __init__(self) -> None:
                    self.written: list[Written] = []

                def write(self, prompt: Prompt) -> None:
                    exchange(10)
                    self.written.append(made_text())

                def finish(self) -> list[Written]:
                    return self.written

            exchange(100)
            yield Sender()

    (found,) = run(System("sender", "of a test", open_))
    assert found.carried == (30, 30)
