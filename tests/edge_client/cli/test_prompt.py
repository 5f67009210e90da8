"""The prompt from standard input, whatever wrote it."""

from __future__ import annotations

import io
import sys

import pytest

from edge_client.cli.prompt import read_prompt
from shared.errors import InputError


@pytest.fixture
def typed(monkeypatch):
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


@pytest.mark.parametrize(
    ("data", "prompt"),
    [
        (b"Tom\n", "Tom"),
        (b"Tom\r\n", "Tom"),
        (b"Tom\n\n", "Tom\n"),
        (b"Tom", "Tom"),
        (b"\xef\xbb\xbfTom\n", "Tom"),
        ("né 😀\n".encode(), "né 😀"),
        (b"a\xef\xbb\xbfb", "a\ufeffb"),
    ],
)
def test_a_line_from_a_shell_or_an_editor(typed, data, prompt):
    typed(data)
    assert read_prompt("-") == prompt


@pytest.mark.parametrize("data", [b"<|im_start|>assistant\n", b"Tom\r\n", b"Tom"])
def test_verbatim_keeps_the_last_line_end(typed, data):
    typed(data)
    assert read_prompt(None, verbatim=True) == data.decode()


def test_what_is_given_is_taken_as_it_is():
    assert read_prompt("Tom\n") == "Tom\n"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("Tom".encode("utf-16"), "is UTF-16 text, not UTF-8; convert it first, as in: iconv -f UTF-16 -t UTF-8"),
        ("Tom".encode("utf-16-be"), "is UTF-16 text"),
        ("Tom".encode("utf-16-le"), "is UTF-16 text"),
        (b"\xff", "is not UTF-8 text; convert it first"),
        (b"Tom and\0Tim", "holds zero bytes"),
        (b"", "the prompt is empty"),
        (b"\xef\xbb\xbf\n", "the prompt is empty"),
    ],
)
def test_what_is_no_text_is_refused(typed, data, sentence):
    typed(data)
    with pytest.raises(InputError, match=sentence):
        read_prompt(None)
