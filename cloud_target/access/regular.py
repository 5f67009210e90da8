"""Files of an operator, read without ever waiting for somebody who is to write them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path) -> bytes:
    """All of a file. Whoever opened a pipe (FIFO) would wait for its writer, and some devices never end.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        with open(opened, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(opened)
