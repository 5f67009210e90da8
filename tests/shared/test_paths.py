"""Paths as they are typed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_target.cli import make_parser
from edge_client.cli.arguments import generate_parser
from shared.paths import typed_path, typed_place


def test_the_tilde_is_the_home(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert typed_path("~/bundle") == Path("/somewhere/bundle")
    assert typed_place("~/bundle") == "/somewhere/bundle"
    assert typed_place("Qwen/Qwen2-7B") == "Qwen/Qwen2-7B"
    assert typed_path("a~b") == Path("a~b")
    with pytest.raises(argparse.ArgumentTypeError, match="there is no home directory for ~nobody-at-all/x"):
        typed_path("~nobody-at-all/x")


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from actions(inner)
        else:
            yield action


def test_every_option_that_takes_a_path_understands_it():
    paths = [
        action
        for parser in (generate_parser(), make_parser())
        for action in actions(parser)
        if {"DIR", "FILE", "FILE.json", "FILE.onnx", "BUNDLE", "CORPUS", "PATH"} & {*str(action.metavar).split("|")}
    ]
    assert len(paths) > 40
    assert [action.dest for action in paths if action.type not in (typed_path, typed_place)] == []
