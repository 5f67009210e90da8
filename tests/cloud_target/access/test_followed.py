"""Files that are followed: no change is missed, whatever kept it from being read, and none is told twice."""

from __future__ import annotations

import logging
import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.access.followed import AGAIN, DOUBTED, RETRY, Followed
from cloud_target.access.tokens import TokenFile, add_line, new_token
from shared.errors import AccessDenied, InputError


class World:
    """A file that can be read or not, and a clock."""

    def __init__(self, path: Path) -> None:
        self.path, self.now, self.is_readable, self.reads = path, 0.0, True, 0
        path.write_text("0")
        self.followed = Followed("the numbers", [path], self._read, lambda: self.now)

    def _read(self) -> str:
        self.reads += 1
        if not self.is_readable:
            raise InputError("for a test")
        return self.path.read_text()


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path / "file")


STEPS = st.lists(st.sampled_from(["write", "replace", "break", "mend", "wait", "ask"]), max_size=25)


@given(STEPS)
def test_what_is_there_is_known_soon_after_it_can_be_read(tmp_path_factory, steps):
    world = World(tmp_path_factory.mktemp("followed") / "file")
    for number, step in enumerate(steps, 1):
        match step:
            case "write":
                world.path.write_text(str(number))
            case "replace":
                other = world.path.with_suffix(".new")
                other.write_text(str(number))
                os.replace(other, world.path)
            case "break":
                world.is_readable = False
            case "mend":
                world.is_readable = True
            case "wait":
                world.now += RETRY
            case "ask":
                world.followed.follow()
    world.is_readable = True
    world.now += RETRY
    world.followed.follow()
    assert world.followed.value == world.path.read_text()
    reads = world.reads
    assert not world.followed.follow()  # and what was read is not read again
    assert world.reads == reads


def test_a_file_that_stays_broken_is_tried_in_turn_and_told_once(world, caplog):
    world.is_readable = False
    world.path.write_text("another")
    with caplog.at_level(logging.INFO, "cloud_target"):
        for _ in range(100):
            assert not world.followed.follow()
            world.now += RETRY / 10
    assert world.reads == 1 + 10
    assert caplog.text.count("stay in use") == 1
    assert world.followed.value == "0"


def test_two_changes_within_a_tick_of_the_file_system(world):
    world.path.write_text("1")
    assert world.followed.follow()
    world.path.write_text("2")
    world.followed._tried = world.followed._look()  # as if the second had the time of the first
    world.now += RETRY
    world.followed.follow()
    assert world.followed.value == "2"


def test_a_file_whose_time_was_set_back(world):
    before = world.path.stat()
    world.path.write_text("1")
    os.utime(world.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert world.followed.follow()
    assert world.followed.value == "1"


def test_a_withdrawn_token_whose_file_could_not_be_opened_once(tmp_path):
    """No descriptor is left when the changed file is read; the token is not good for longer than that."""
    path = tmp_path / "tokens"
    token, line = new_token("acme")
    add_line(path, line)
    seconds = Seconds()
    file = TokenFile(path, seconds=seconds)
    path.write_text("# nobody any more\n")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        assert file.authenticate(token).tenant == "acme"  # what is known by then
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    seconds.now += RETRY
    assert file.authenticate(token).tenant == "acme"  # the first look that finds it missing
    seconds.now += AGAIN
    with pytest.raises(AccessDenied):
        file.authenticate(token)


class Seconds:
    """Stand still until they are moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


NAMES = "abc"
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sets(st.sampled_from(NAMES)), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from([AGAIN / 4, AGAIN, RETRY])),
        st.just(("break",)),
    ),
    max_size=30,
)


@given(CHANGES)
def test_what_is_new_counts_at_once_and_a_loss_when_it_is_seen_again(tmp_path_factory, changes):
    """Looked at after each change. A loss is believed where all looks over a while have seen it, and only then."""
    path, seconds, there = tmp_path_factory.mktemp("followed") / "file", Seconds(), frozenset(NAMES)

    def write(number: int) -> None:
        path.write_text("".join(sorted(there)) + "\n" + "#" * number)

    def read() -> frozenset[str]:
        if is_broken:
            raise InputError("for a test")
        return frozenset(path.read_text().partition("\n")[0])

    is_broken = False
    write(0)
    followed = Followed("names", [path], read, seconds, lambda old, new: old | new if old - new else None)
    missing: dict[str, float] = {}  # since which look
    for number, (what, *more) in enumerate(changes, 1):
        is_broken = what == "break"
        match what:
            case "write":
                there = frozenset(more[0])
                write(number)
            case "wait":
                seconds.now += more[0]
            case "break":
                write(number)
        before = followed.value
        followed.follow()
        if is_broken:
            assert followed.value == before
            continue
        missing = {name: missing.get(name, seconds.now) for name in NAMES if name not in there}
        assert there <= followed.value
        assert all(seconds.now - missing[name] >= AGAIN for name in before - followed.value)
    is_broken = False
    for _ in range(2):
        seconds.now += RETRY
        followed.follow()
    assert followed.value == there


def test_a_loss_is_believed_although_the_files_are_never_twice_the_same(tmp_path):
    path, seconds = tmp_path / "file", Seconds()
    path.write_text("ab\n")
    followed = Followed(
        "names",
        [path],
        lambda: frozenset(path.read_text().partition("\n")[0]),
        seconds,
        lambda old, new: old | new if old - new else None,
    )
    for number in range(1, 100):
        path.write_text("a\n" + "#" * number)
        followed.follow()
        assert (followed.value == frozenset("a")) == (seconds.now >= DOUBTED)
        seconds.now += RETRY / 2
