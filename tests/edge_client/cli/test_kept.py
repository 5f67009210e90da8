"""`edge-client bundle`: what is kept is listed, fetched, added, checked and removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_client.bundles.store import Store
from edge_client.bundles.uses import SetAside
from edge_client.cli import main as cli
from edge_client.settings import LOCAL_ONLY
from edge_client.target.client import TargetClient
from shared.manifest import Domain
from tests.edge_client.bundles.offers import FaultyTransport, client, contents_of, made, target_of, tidy

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    monkeypatch.setenv("TANDEM_BUNDLES", str(tmp_path / "bundles"))
    return Store(tmp_path / "bundles")


@pytest.fixture
def run(store, capsys) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(["bundle", *arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def target(monkeypatch, tmp_path) -> FaultyTransport:
    transport = FaultyTransport(target_of(made(tmp_path / "offered", "theirs")))
    monkeypatch.setattr(TargetClient, "connect", lambda *_: client(transport))
    return transport


def test_what_is_kept_is_listed(run, store, tmp_path):
    status, out, _ = run("list")
    assert (status, out) == (0, f"no bundle is kept in {store.place}\n")
    assert run("list", "--json") == (0, "[]\n", "")
    run("add", str(made(tmp_path / "one", domains=[Domain("letters")])))
    store.uses.note("a:1", contents_of(tmp_path / "one").digest)
    status, out, _ = run("list")
    head, row, where = out.splitlines()
    assert head.split("  ")[0] == "bundle"
    for part in ("one", contents_of(tmp_path / "one").digest[:12], "scripted (scripted)", "a:1", "general, letters"):
        assert part in row
    assert where == f"kept in {store.place}"
    ((kept),) = json.loads(run("list", "--json")[1])
    assert kept["digest"] == contents_of(tmp_path / "one").digest
    assert kept["directory"] == str(store.find(kept["digest"]))
    assert kept["bytes"] == contents_of(tmp_path / "one").size
    assert kept["target"] == {"name": "scripted", "fingerprint": "scripted"}
    assert kept["addresses"] == ["a:1"]
    assert kept["used"] > 0
    assert kept["verifiers"] == ["general", "letters"]


def test_a_bundle_is_pulled_once(run, store, target, tmp_path):
    status, out, err = run("pull", "--target", "gpu.example:1")
    digest = contents_of(tmp_path / "offered").digest
    assert (status, err) == (0, "")
    assert out.startswith("fetched theirs (")
    assert out.rstrip().endswith(str(store.place / digest))
    sent = target.sent
    assert run("pull")[1].startswith("there already is theirs (")
    assert target.sent == sent
    assert tidy(store.place) == [digest]


def test_a_damaged_bundle_is_pulled_again(run, store, target, tmp_path):
    run("pull")
    ((directory),) = (one.directory for one in store.kept())
    (directory / "verifier.onnx").write_bytes(b"other")
    assert run("verify")[0] == 2
    status, out, err = run("pull")
    assert (status, out.split()[0]) == (0, "fetched")
    assert "is not the file" in err
    assert err.rstrip().endswith("; it is fetched again")
    assert run("verify")[0] == 0


def test_what_was_set_aside_is_listed_and_taken_back_by_a_pull(run, store, target, tmp_path):
    digest = contents_of(tmp_path / "offered").digest
    run("pull")
    store.uses.set_aside("loopback:0", SetAside(digest, "", 0.5, 0.1))
    assert "set aside for loopback:0" in run("list")[1]
    ((kept),) = json.loads(run("list", "--json")[1])
    assert (kept["addresses"], kept["set_aside"]) == ([], ["loopback:0"])
    out = run("pull")[1]
    assert out.endswith("it was set aside for loopback:0, and is used with it again from the next text on\n")
    ((kept),) = json.loads(run("list", "--json")[1])
    assert (kept["addresses"], kept["set_aside"]) == (["loopback:0"], [])
    assert "set aside" not in run("pull")[1]


def test_where_nothing_may_leave_nothing_is_pulled(run, target, monkeypatch):
    monkeypatch.setenv(LOCAL_ONLY, "1")
    status, _, err = run("pull")
    assert status == 2
    assert "nothing may leave this machine" in err
    assert target.calls == []


def test_a_target_that_offers_none(run, target):
    target.service.offer(None)
    status, _, err = run("pull")
    assert status == 2
    assert err == "edge-client: scripted offers no bundle; give one of your own (--bundle)\n"


def test_bundles_are_checked(run, store, tmp_path):
    for name in ("one", "two"):
        run("add", str(made(tmp_path / name, name)))
    status, out, _ = run("verify")
    assert (status, out.count("every digest is right")) == (0, 2)
    (store.find(contents_of(tmp_path / "two").digest) / "draft.onnx").write_bytes(b"other")
    status, out, _ = run("verify")
    assert (status, out.count("every digest is right"), out.count("is not the file")) == (2, 1, 1)
    assert run("verify", "one")[0] == 0
    assert run("verify", "three")[0] == 2


def test_bundles_are_removed(run, store, tmp_path):
    for name in ("one", "two"):
        run("add", str(made(tmp_path / name, name)))
    status, _, err = run("remove", "one", "three")
    assert status == 2
    assert "no bundle is kept under 'three'; give the digest, or its beginning" in err
    assert len(store.kept()) == 2, "nothing is removed where one of them is not there"
    assert run("remove", "one", contents_of(tmp_path / "two").digest[:8])[0] == 0
    assert tidy(store.place) == []


def test_what_did_not_come_whole_is_told_and_removed(run, store, target):
    def interrupt(*_: object):
        yield b"x" * 10
        raise KeyboardInterrupt

    target.fetch = interrupt
    assert run("pull")[0] == 130
    assert "1 more did not come whole" in run("list")[1]
    status, out, _ = run("remove", "--unfinished")
    assert status == 0
    assert out.startswith("removed ")
    assert tidy(store.place) == []


def test_a_directory_that_is_no_bundle_is_not_added(run, store, tmp_path):
    status, _, err = run("add", str(tmp_path))
    assert status == 2
    assert "has no manifest.json" in err
    assert tidy(store.place) == []


@pytest.mark.parametrize("command", [[], ["list"], ["pull"], ["add"], ["verify"], ["remove"]])
def test_help(run, capsys, command):
    with pytest.raises(SystemExit) as ended:
        run(*command, "--help")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: edge-client bundle", *command]))


def test_a_name_that_is_no_text_cannot_talk_to_the_terminal(run, store, tmp_path):
    directory: Path = made(tmp_path / "one", "\x1b[2Jone")
    assert "\x1b" not in run("add", str(directory))[1] + run("list")[1] + run("verify")[1]
