"""The prompt: from the command line, or from standard input, whose text may come from any editor or shell."""

from __future__ import annotations

import codecs
import sys

from shared.errors import InputError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_prompt(given: str | None, verbatim: bool = False) -> str:
    """The prompt as given, or what standard input says.

    Args:
        given: on the command line; None or "-" for standard input.
        verbatim: keep the last line's end of standard input, which is left out otherwise: `echo` and editors put it
            there.

    Raises:
        InputError: there is none, or standard input is no UTF-8 text.
    """
    if given is None and sys.stdin.isatty():
        raise InputError('there is no prompt; give one, as in: edge-client "Once upon a time"')
    prompt = given
    if prompt is None or prompt == "-":
        prompt = text_of(sys.stdin.buffer.read())
        if not verbatim:
            prompt = prompt.removesuffix("\n").removesuffix("\r")
    if not prompt:
        raise InputError("the prompt is empty; give a few words to go on from")
    return prompt


def text_of(data: bytes) -> str:
    """UTF-8, without the mark that some editors begin it with.

    Raises:
        InputError: it is something else.
    """
    if data.startswith(_UTF_16) or b"\0" in data[:4]:
        raise InputError("standard input is UTF-16 text, not UTF-8; convert it first, as in: iconv -f UTF-16 -t UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("standard input is not UTF-8 text; convert it first") from None
    if "\0" in text:
        raise InputError("standard input holds zero bytes, which no text has; give text in UTF-8")
    return text
