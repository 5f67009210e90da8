"""An error about a value says where that stands, in whatever words the error is."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.configuration.origin import DEFAULT, Origin, Source
from shared.configuration.told import about, told
from shared.errors import InputError, TargetBusy

FILE = Path("/etc/tandem/cloud.toml")
ORIGINS = {
    "kv_memory": Origin(Source.FILE, "kv-memory", FILE, 4),
    "context": Origin(Source.ENVIRONMENT, "TANDEM_SERVE_CONTEXT"),
    "port": Origin(Source.FLAG, "--port"),
    "tokens": DEFAULT,
}
IN_FILE, IN_ENVIRONMENT = f"kv-memory in {FILE}, line 4", "TANDEM_SERVE_CONTEXT in the environment"


@pytest.mark.parametrize(
    ("sentence", "options", "expected"),
    [
        ("--kv-memory asks for too much; give less", (), f"{IN_FILE}: asks for too much; give less"),
        ("more than --kv-memory allows; give more", (), f"more than kv-memory allows; give more ({IN_FILE})"),
        (
            "more than --kv-memory allows, for a --context of 9",
            (),
            f"more than kv-memory allows, for a TANDEM_SERVE_CONTEXT of 9 ({IN_FILE}, {IN_ENVIRONMENT})",
        ),
        ("choose another --port, or --host", (), "choose another --port, or --host"),
        ("give --tokens", (), "give --tokens"),
        ("too much", ("kv_memory",), f"too much ({IN_FILE})"),
        ("too much", ("port", "tokens", "other_one"), "too much (--port, --tokens, --other-one)"),
        ("more than --kv-memory allows", ("kv_memory",), f"more than kv-memory allows ({IN_FILE})"),
        ("a --kv-memory-of-others stays, and so does x--context", (), None),
        ("nothing of the kind", (), None),
    ],
)
def test_where_values_stand_is_told(sentence, options, expected):
    assert told(InputError(sentence, options=options), ORIGINS) == (expected or sentence)


def test_where_nobody_knows_it_is_the_flag():
    assert told(InputError("--kv-memory asks for too much", options=("mode local",)), {}) == (
        "--kv-memory asks for too much (--mode local)"
    )


def test_errors_that_name_no_option_are_about_those_of_the_block():
    def raised(error: Exception) -> tuple[str, ...]:
        with pytest.raises(type(error)) as seen, about("tokens", "port"):
            raise error
        return getattr(seen.value, "options", ())

    assert raised(InputError("cannot read it")) == ("tokens", "port")
    assert raised(InputError("give another --host")) == ()
    assert raised(InputError("too long", options=("context",))) == ("context",)
    assert raised(TargetBusy("no room")) == ()
    assert raised(ValueError("no error of ours")) == ()
