"""What travels beside the messages."""

from __future__ import annotations

import os
import re

from shared.wire.metadata import session_key


def test_a_key_is_short_the_same_for_one_session_and_tells_nothing_of_its_id() -> None:
    ids = [os.urandom(16) for _ in range(1000)]
    keys = [session_key(session_id) for session_id in ids]
    assert keys == [session_key(session_id) for session_id in ids]
    assert len(set(keys)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", key) for key in keys)
    assert not any(key[:8] in session_id.hex() for key, session_id in zip(keys, ids, strict=True))


def test_a_key_is_what_proxies_and_older_edges_have_seen() -> None:
    """All edges of a fleet, whatever their version, put a session on the same replica."""
    assert session_key(bytes(16)) == "7f881655f66c6ec4"
