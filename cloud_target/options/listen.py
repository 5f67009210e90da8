"""Whether an address can be listened on, and why not: worth asking before a large model is loaded."""

from __future__ import annotations

import os
import socket


def try_to_listen(host: str, port: int) -> None:
    """See whether an address can be listened on now.

    Args:
        host: without brackets.
        port: 0 picks a free one.

    Raises:
        OSError: it cannot, or there is no such host; see `why_not`.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    socket.create_server((host, port), family=family).close()


def why_not(error: OSError) -> str:
    """In a few words, why an address cannot be listened on."""
    # Name lookups fail with negative numbers and say what happened themselves.
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error.strerror)
