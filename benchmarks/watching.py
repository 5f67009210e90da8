"""What a process does to the network and to the disk, as the kernel sees it: system calls, watched with strace."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_SOCKETS = ("socket", "connect", "bind", "sendto", "sendmsg", "sendmmsg")
_FILES = (
    *("open", "openat", "creat", "mkdir", "mkdirat", "mknod", "mknodat", "rename", "renameat", "renameat2"),
    *("link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "truncate"),
)
_LINE = re.compile(r"\d+ +(\w+)\((.*)\) += (-?\d+)")
_INTERNET = re.compile(r"AF_(INET6?|PACKET)\b")
_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
_HOST = re.compile(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"')
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?"((?:[^"\\]|\\.)*)"')
_OF_THE_SYSTEM = ("/dev/", "/proc/")


@dataclass(frozen=True)
class Place:
    """Directories of one process, made where it is to run: `own` it was given to write in, the others it was not.

    Attributes:
        root: of them all.
    """

    root: Path

    @property
    def own(self) -> Path:
        return self.root / "own"

    def make(self) -> Place:
        """Make the directories."""
        for name in ("own", "home", "temporary", "elsewhere"):
            (self.root / name).mkdir(parents=True)
        return self

    def environment(self, given: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The variables of a process that knows only these directories."""
        kept = {name: given[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in given}
        mine = {"HOME": self.root / "home", "TMPDIR": self.root / "temporary", "TANDEM_STATE": self.own / "state"}
        tree = str(Path(__file__).resolve().parents[1])
        quiet = {"PYTHONPATH": tree, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        return kept | {name: str(path) for name, path in mine.items()} | quiet


@dataclass
class Watch:
    """A command under strace, with every process that it starts.

    Args:
        command: to run.
        place: where.
        addresses: "host:port" that it may connect to or listen on, "host:*" for any port; with none it may not
            even make a socket.
        pause: seconds before anybody reads what it writes. The pipe is all but full, so until then its text waits.

    Attributes:
        status: how it ended.
        lived: seconds from its start to its end.
    """

    command: Sequence[str]
    place: Place
    addresses: Collection[str] = ()
    pause: float = 0.0
    variables: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    lived: float = 0.0

    def __post_init__(self) -> None:
        self._trace, self._errors = self.place.root / "trace", self.place.root / "stderr"
        line = ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-s", "4096", "-o", str(self._trace)]
        line += ["-e", f"trace={','.join((*_SOCKETS, *_FILES))}", "--", *self.command]
        self._output, writes = _narrow_pipe() if self.pause else _pipe()
        self._begin = time.monotonic()
        with self._errors.open("wb") as errors, os.fdopen(writes, "wb") as out:
            self._process = subprocess.Popen(
                line,
                cwd=self.place.root / "elsewhere",
                env=self.place.environment() | dict(self.variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )

    def output(self) -> Iterator[str]:
        """What it writes, line by line."""
        for line in self._output:
            yield line.decode(errors="replace").lstrip("\0")

    def end(self, number: signal.Signals | None = None) -> None:
        """Wait for its end, after a signal if one is given."""
        if number is not None:
            for child in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split():
                os.kill(int(child), number)
        time.sleep(max(0.0, self._begin + self.pause - time.monotonic()))
        self._output.read()
        self._output.close()
        self.status, self.lived = self._process.wait(), time.monotonic() - self._begin

    @property
    def said(self) -> str:
        """Its last words on stderr."""
        return self._errors.read_text(encoding="utf-8", errors="replace")[-500:]

    def foreign(self) -> list[str]:
        """What it touched without having been told to, each once: system calls, and temporary files that it left."""
        found: dict[str, None] = {}
        for line in _whole_lines(self._trace):
            if (match := _LINE.match(line)) is None:
                continue
            call, arguments, result = match[1], match[2], int(match[3])
            if call in _SOCKETS:
                if self._is_foreign(call, arguments):
                    found[f"{call}({arguments[:160]})"] = None
            elif result >= 0:
                for path in _changed(call, arguments, self.place.root / "elsewhere"):
                    if not any(path.is_relative_to(own) for own in (self.place.own, self.place.root / "temporary")):
                        found[f"{call} {path}"] = None
        left = sorted((self.place.root / "temporary").iterdir())
        return [*found, *(f"left behind: {path.name}" for path in left)]

    def _is_foreign(self, call: str, arguments: str) -> bool:
        if not _INTERNET.search(arguments):
            return False
        if call == "socket":
            return not self.addresses
        port, host = _PORT.search(arguments), _HOST.search(arguments)
        if port is None or host is None:
            return False  # sent over a connection, which was judged when it was made
        name = host[1].removeprefix("::ffff:")
        return not {f"{name}:{port[1]}", f"{name}:*"} & {*self.addresses}


def why_not() -> str | None:
    """Why nothing can be watched here; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    trial = ["strace", "-f", "--seccomp-bpf", "-o", os.devnull, "true"]
    run = subprocess.run(trial, capture_output=True, text=True, check=False)
    return f"strace cannot trace here ({run.stderr.strip()})" if run.returncode else None


def lingering(module: str, seconds: float, *arguments: str) -> list[str]:
    """The command line of a module that is run as a program, and whose process lives on for so long after its end."""
    program = (
        "import runpy, sys, time\nmodule, seconds = sys.argv[1:3]\ndel sys.argv[1:3]\n"
        "try: runpy.run_module(module, run_name='__main__', alter_sys=True)\nfinally: time.sleep(float(seconds))"
    )
    return [sys.executable, "-c", program, module, str(seconds), *arguments]


def _pipe() -> tuple[BinaryIO, int]:
    reads, writes = os.pipe()
    return os.fdopen(reads, "rb"), writes


def _narrow_pipe() -> tuple[BinaryIO, int]:
    """A pipe that has room for a few bytes before somebody must read."""
    output, writes = _pipe()
    size = fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writes, bytes(size - 16))
    return output, writes


def _whole_lines(trace: Path) -> Iterator[str]:
    """The trace's lines, with those put together that another thread's came between."""
    begun: dict[str, str] = {}
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        thread = line.partition(" ")[0]
        if line.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"\d+ +<\.\.\. \w+ resumed>", line):
            yield begun.pop(thread, "") + line[resumed.end() :]
        else:
            yield line
    yield from (f"{line}) = -1" for line in begun.values())  # still under way when the process ended


def _changed(call: str, arguments: str, place: Path) -> Iterator[Path]:
    """The paths that a successful call made, changed or removed."""
    if call in ("open", "openat") and not re.search(r"O_(WRONLY|RDWR|CREAT)", arguments):
        return
    for match in _PATH.finditer(arguments):
        path = Path(os.path.normpath((Path(match[1]) if match[1] else place) / match[2]))
        if not str(path).startswith(_OF_THE_SYSTEM):
            yield path
