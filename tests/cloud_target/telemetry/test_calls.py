"""The id of a call: the caller's own as far as it can stand in a line, or one that is made."""

from __future__ import annotations

import re
from contextvars import copy_context

from hypothesis import example, given
from hypothesis import strategies as st

from cloud_target.telemetry.calls import Call, begin_call, present_call
from shared.wire.metadata import LONGEST_ID, clean_id


def called(metadata: list[tuple[str, str | bytes]], peer: str = "") -> Call:
    """The call that begins in a context of its own, as each does."""

    def begin() -> Call:
        call = begin_call(metadata, peer)
        assert present_call() is call
        return call

    return copy_context().run(begin)


@given(st.text(st.characters(max_codepoint=0x2FF), max_size=200) | st.binary(max_size=20))
@example("a" * 300)
def test_whatever_is_given_an_id_is_a_short_word(given_id):
    call = called([("other", "x"), ("x-request-id", given_id), ("x-request-id", "second")])
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", call.id)
    assert present_call() is None
    if isinstance(given_id, str) and (cleaned := clean_id(given_id)):
        assert call.id == cleaned
        assert clean_id(cleaned) == cleaned


@given(st.from_regex(rf"\A[A-Za-z0-9._-]{{1,{LONGEST_ID}}}\Z"))
def test_a_good_id_is_kept_as_it_is(given_id):
    assert called([("x-request-id", given_id)]).id == given_id


def test_ids_that_are_made_differ_and_peers_are_readable():
    calls = [called([], "ipv6:%5B::1%5D:4711") for _ in range(50)]
    assert len({call.id for call in calls}) == 50
    assert calls[0].peer == "ipv6:[::1]:4711"
