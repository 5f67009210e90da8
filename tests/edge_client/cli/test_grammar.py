"""Texts that keep to something, as the command line asks for them."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest

from edge_client.cli.arguments import parse_args

PAIR = '{"type": "array", "prefixItems": [{"enum": ["a", "b"]}, {"type": "boolean"}], "items": false, "minItems": 2}'
LOCAL = ("Tom", "--mode", "local", "-q", "--max-tokens", "60")


@pytest.fixture
def typed(monkeypatch):
    """Puts a text on standard input."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_a_schema_from_a_file(edge, tmp_path):
    (tmp_path / "pair.json").write_text("\ufeff" + PAIR, encoding="utf-8")
    status, out, _ = edge(*LOCAL, "--json-schema", str(tmp_path / "pair.json"))
    assert (status, re.fullmatch(r'\["[ab]", (true|false)\]\n', out) is None) == (0, False)


def test_a_schema_from_standard_input(edge, typed):
    typed(PAIR)
    assert json.loads(edge(*LOCAL, "--json-schema", "-")[1])[0] in ("a", "b")
    typed(PAIR)
    status, _, err = edge("--mode", "local", "--json-schema", "-")
    assert status == 2
    assert "standard input cannot be both --json-schema and the prompt" in err


def test_an_expression_a_grammar_and_any_object(edge, tmp_path):
    assert re.fullmatch("[0-9]{4}\n", edge(*LOCAL, "--regex", "[0-9]{4}")[1])
    (tmp_path / "rules.lark").write_text('start: "yes" | "no"', encoding="utf-8")
    assert edge(*LOCAL, "--lark", str(tmp_path / "rules.lark"))[1] in ("yes\n", "no\n")
    assert edge(*LOCAL, "--json-object")[1].startswith("{")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", r"the schema is not JSON .*\(--json-schema\)"),
        (b'{"type": "objct"}', r"Invalid type: objct \(--json-schema\)"),
        (b"\xff\xfe{", "is not UTF-8 text"),
        (None, "cannot read --json-schema .*No such file"),
    ],
)
def test_a_schema_that_is_none_is_one_sentence(edge, tmp_path, content, why):
    if content is not None:
        (tmp_path / "schema").write_bytes(content)
    status, out, err = edge(*LOCAL, "--json-schema", str(tmp_path / "schema"))
    assert (status, out) == (2, "")
    assert re.fullmatch(f"edge-client: .*{why}.*\n", err)


def test_an_expression_that_is_none_is_called_by_its_option(edge):
    assert re.search(r"unclosed group.*\(--regex\)", edge(*LOCAL, "--regex", "(a")[2])


def test_one_of_them_is_enough(capsys):
    with pytest.raises(SystemExit):
        parse_args(["--json-object", "--regex", "a", "Tom"])
    assert "not allowed with argument --json-object" in capsys.readouterr().err
