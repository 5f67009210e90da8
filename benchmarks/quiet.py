"""Whether a command opens a socket, or writes a file, that it was not told to: each is run and watched for a while.

python -m benchmarks.quiet --seconds 30

What the kernel sees counts: strace watches the process and all that it starts. The reader of a text pauses, and every
other process lives on after its work, so that what a library does by itself after some seconds is seen too.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from benchmarks.local_target import run_main
from benchmarks.tables import markdown_table, provenance
from benchmarks.watching import Place, Watch, lingering, why_not
from cloud_target.engine.files import POCKET_DIRECTORY
from cloud_target.options.values import count
from edge_client.bundles.pocket import POCKET
from shared.errors import InputError, TandemError

# urllib3, which transformers brings, sees at import whether this machine has IPv6: it binds a socket, and closes it.
PROBE = "::1:0"
_WORDS = "the a little fox named Tim wanted to play in garden red box beach sun dog boat and then was happy she saw"
_TINY = "--tokens 3000 --batch-tokens 1000 --hidden 64 --layers 1 --feed-forward 64 --kv-heads 1"


@dataclass(frozen=True)
class Case:
    """One command.

    Attributes:
        command: as it is typed. OWN stands for the directory that it may write in, MADE for that of the case before,
            TARGET for the address of a target, CORPUS for a file with documents.
        addresses: that it may connect to or listen on.
        writes: its text has a reader that pauses; other processes live on instead.
        variables: of its environment, besides.
    """

    command: str
    addresses: tuple[str, ...] = ()
    writes: bool = False
    variables: Mapping[str, str] | None = None


_TEXT = "--max-tokens 60 --target TARGET Once"
# Groups, in each of which a case needs what the one before has made.
GROUPS = (
    (Case(f"edge-client --mode local {_TEXT}", writes=True),),
    (Case(f"edge-client --criterion strict --budget 0.05 {_TEXT}", ("TARGET", PROBE), writes=True),),
    (Case(f"edge-client --mode exact {_TEXT}", ("TARGET", PROBE), writes=True),),
    (Case(f"edge-client --mode cloud {_TEXT}", ("TARGET", PROBE), writes=True),),
    (Case("edge-client info"),),
    (Case("edge-client config show"),),
    (Case("edge-client doctor"),),
    (Case("edge-client doctor --target TARGET", ("TARGET", PROBE)),),
    (Case("edge-client verifier report"),),
    (Case("edge-client verifier reset"),),
    (Case("cloud-target token new acme --file OWN/tokens.txt"),),
    (Case("cloud-target doctor", (PROBE, "127.0.0.1:50051")),),
    (Case("cloud-target doctor --address TARGET", ("TARGET", PROBE)),),
    (Case("cloud-target bench --address TARGET --sessions 2 --seconds 2", ("TARGET", PROBE)),),
    (Case("cloud-target bench --sessions 2 --seconds 2 --kv-memory 64MiB", (PROBE, "127.0.0.1:*")),),
    (Case(f"cloud-target export --draft {POCKET_DIRECTORY} --out OWN/bundle --context 64", (PROBE,)),),
    (
        Case(
            f"cloud-target prepare --target pocket --draft {POCKET} --corpus CORPUS --rows 300 --own-tokens 200 --out "
            "OWN/bundle",
            (PROBE,),
        ),
    ),
    (
        Case(
            f"cloud-target evaluate --target {POCKET_DIRECTORY} --draft {POCKET}/draft.onnx --dev CORPUS --documents 2",
            (PROBE,),
        ),
    ),
    (
        Case("cloud-target train tokenizer CORPUS --out OWN/tokenizer --vocabulary 300 --context 128", (PROBE,)),
        Case(f"cloud-target train target CORPUS --tokenizer MADE/tokenizer --out OWN/target {_TINY}", (PROBE,)),
        Case("cloud-target train own-text CORPUS --target MADE/target --tokens 300 --out OWN/own.npz", (PROBE,)),
    ),
    (
        Case(
            f"cloud-target train draft CORPUS --dev CORPUS --target {POCKET_DIRECTORY} --corpus-tokens 500 --out "
            f"OWN/draft {_TINY}",
            (PROBE,),
        ),
    ),
)
SERVE_HERE = Case("edge-client serve --mode local --port 0", ("127.0.0.1:0",))
SERVE = Case("cloud-target serve --threads 1 --kv-memory 64MiB --port 0 --metrics-port 0", (PROBE, "127.0.0.1:0"))


@dataclass(frozen=True)
class Outcome:
    """What one command did.

    Attributes:
        foreign: what it touched without having been told to.
        trouble: what it said, where it failed.
    """

    case: Case
    foreign: list[str]
    trouble: str


def start(case: Case, root: Path, seconds: float, words: Mapping[str, str]) -> Watch:
    """Run a command below `root`, for at least so many seconds; `words` are what its capitals stand for."""
    place = Place(root)
    place.make()
    program, *arguments = case.command.split()
    known = {"OWN": str(place.own), **words}
    for word, meaning in known.items():
        arguments = [argument.replace(word, meaning) for argument in arguments]
    module = program.replace("-", "_")
    command = [sys.executable, "-m", module, *arguments] if case.writes else lingering(module, seconds, *arguments)
    addresses = [words.get(address, address) for address in case.addresses]
    return Watch(command, place, addresses, seconds if case.writes else 0.0, case.variables or {})


@contextmanager
def service(case: Case, root: Path, outcomes: list[Outcome]) -> Iterator[str]:
    """A server for the length of a `with` block, watched as the others are; gives its address."""
    watch = start(case, root, 0.0, {})
    pattern = r" on (?:http://)?(127\.0\.0\.1:\d+)"
    found = next(filter(None, (re.search(pattern, line) for line in watch.output())), None)
    try:
        if found is None:
            raise TandemError(f"`{case.command}` did not start: {watch.said}")
        yield found[1]
    finally:
        watch.end(signal.SIGTERM)
        outcomes.append(Outcome(case, watch.foreign(), watch.said if watch.status else ""))


def ask(address: str) -> None:
    """Have the local server write a text."""
    body = b'{"model": "pocket", "prompt": "Once upon a time", "max_tokens": 20}'
    with urlopen(f"http://{address}/v1/completions", body, timeout=60) as answer:
        answer.read()


def run(group: Sequence[Case], root: Path, seconds: float, words: Mapping[str, str]) -> list[Outcome]:
    """Run the commands of a group, one after the other."""
    found = []
    for number, case in enumerate(group):
        watch = start(case, root / str(number), seconds, {**words, "MADE": str(root / str(number - 1) / "own")})
        watch.end()
        found.append(Outcome(case, watch.foreign(), watch.said if watch.status else ""))
    return found


def asks(group: Sequence[Case]) -> bool:
    """Whether a command of this group asks a target that serves."""
    return any("TARGET" in case.command for case in group)


def watch_all(root: Path, seconds: float, groups: Sequence[Sequence[Case]] = GROUPS, at_once: int = 2) -> list[Outcome]:
    """Run every command below `root`, so many at once; and both servers, where any of them asks a target.

    Raises:
        InputError: nothing can be watched here.
    """
    if why := why_not():
        raise InputError(f"nothing can be watched here: {why}; install strace, or run this where it may trace")
    corpus = root / "corpus.txt"
    corpus.write_text(_documents(80), encoding="utf-8")
    outcomes: list[Outcome] = []
    words = {"CORPUS": str(corpus)}
    with ExitStack() as servers, ThreadPoolExecutor(at_once) as threads:
        if any(asks(group) for group in groups):
            words["TARGET"] = servers.enter_context(service(SERVE, root / "target", outcomes))
            ask(servers.enter_context(service(SERVE_HERE, root / "local", outcomes)))
        runs = [threads.submit(run, group, root / f"group{i}", seconds, words) for i, group in enumerate(groups)]
        for finished in runs:
            outcomes += finished.result()
    return outcomes


def _documents(count: int) -> str:
    chance, words = random.Random(0), _WORDS.split()
    texts = [" ".join(chance.choices(words, k=chance.randint(30, 120))) for _ in range(count)]
    return "\n<|endoftext|>\n".join(texts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="that each process lives, at least (%(default)g)")
    parser.add_argument("--at-once", type=count, default=4, help="commands (%(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-quiet-") as root:
        outcomes = watch_all(Path(root), arguments.seconds, at_once=arguments.at_once)
    for outcome in outcomes:
        for line in (*outcome.foreign, *filter(None, [outcome.trouble])):
            print(f"{outcome.case.command}: {line}", file=sys.stderr)
    rows = [
        (
            f"`{' '.join(outcome.case.command.split()[:3])}`",
            "its own" if outcome.case.addresses else "none",
            str(len(outcome.foreign)),
            "failed" if outcome.trouble else "done",
        )
        for outcome in outcomes
    ]
    print(markdown_table(("command", "may reach", "touched beyond", ""), rows))
    print(provenance("benchmarks.quiet"))
    return int(any(o.foreign or o.trouble for o in outcomes))


if __name__ == "__main__":
    sys.exit(run_main(main))
