"""The configuration file: where it is looked for, and in which line what stands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.configuration.program import EDGE
from shared.configuration.file import read_config
from shared.errors import InputError

keys = st.text("abcdefgh-_", min_size=1, max_size=6)
FILLERS = ("", "# a = 1", "   ", "# [chat]", "\t# '''")
VALUES = (
    "1",
    '"x # y"',
    "'[chat]'",
    "true",
    "[1, 2]",
    "[\n 1,\n # b = 2\n\n 2]",
    '"""\na = 1\n[chat]\n"""',
    "{ a = 1 }",
)


@settings(max_examples=25)
@given(
    data=st.lists(
        st.tuples(
            st.sampled_from(["", "chat", "serve"]),
            st.lists(st.tuples(keys, st.sampled_from(VALUES), st.sampled_from(FILLERS)), unique_by=lambda one: one[0]),
        ),
        unique_by=lambda one: one[0],
        max_size=3,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_value_is_found_in_its_line(config, data, end):
    lines: list[str] = []
    expected = {}
    for table, entries in sorted(data):
        lines += [f"[{table}]"] if table else []
        for key, value, filler in entries:
            lines += [filler]
            expected[table, key] = len(lines) + 1
            lines += f"{json.dumps(key)} = {value}".split("\n")
    with config(end.join(lines)):
        found = read_config(EDGE, {"chat", "serve"})
    assert {(entry.table, entry.key): entry.origin.line for entry in found.entries} == expected


def test_where_it_is_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TANDEM_CONFIG")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert EDGE.config_path() == tmp_path / ".config" / "tandem" / "tandem.toml"
    assert read_config(EDGE, ()) is None
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert EDGE.config_path() == tmp_path / "xdg" / "tandem" / "tandem.toml"
    (tmp_path / "xdg").write_text("no directory")
    assert read_config(EDGE, ()) is None
    monkeypatch.setenv("TANDEM_CONFIG", "~/mine.toml")
    assert EDGE.config_path() == tmp_path / "mine.toml"
    with pytest.raises(InputError, match=r"there is no file .*mine\.toml, which TANDEM_CONFIG names"):
        read_config(EDGE, ())
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbfbudget = 0.1\r\n")
    [entry] = read_config(EDGE, ()).entries
    assert (entry.key, entry.value, entry.origin.line) == ("budget", 0.1, 1)


def test_what_is_no_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("TANDEM_CONFIG", str(tmp_path))
    with pytest.raises(InputError, match=f"{tmp_path} is no file"):
        read_config(EDGE, ())
    os.mkfifo(tmp_path / "pipe")  # whoever opens one waits
    monkeypatch.setenv("TANDEM_CONFIG", str(tmp_path / "pipe"))
    with pytest.raises(InputError, match="is no file"):
        read_config(EDGE, ())
    monkeypatch.setenv("TANDEM_CONFIG", os.devnull)
    assert read_config(EDGE, ()).entries == ()


def test_a_user_without_a_home_has_no_file(monkeypatch):
    monkeypatch.delenv("TANDEM_CONFIG")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    def nowhere() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nowhere)
    assert EDGE.config_path() is None
    assert read_config(EDGE, ()) is None


def test_a_long_value_only_has_no_line(config):
    with config("stop = [\n" + '"x",\n' * 300 + "]\n"):
        [entry] = read_config(EDGE, ()).entries
    assert (len(entry.value), entry.origin.line, str(entry.origin).endswith("tandem.toml")) == (300, None, True)
