"""What another library says fits into a sentence of ours."""

from __future__ import annotations

import pytest

from shared.errors import first_line


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("it broke.", "it broke"),
        ("\n  it broke:\n  at line 3", "it broke"),
        ("", "RuntimeError"),
        (" \n", "RuntimeError"),
        ("x" * 1000, f"{'x' * 300}..."),
    ],
)
def test_an_error_of_a_library_fits_into_a_sentence(said: str, line: str) -> None:
    assert first_line(RuntimeError(said)) == line
