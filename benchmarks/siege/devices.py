"""Honest devices, as a process of their own: `python -m benchmarks.siege.devices JSON`.

The JSON object has `address`, `ca`, `token` and `devices`, how many there are. For each line on its standard input, a
number of seconds, all of them ask for so long, and it prints, as JSON, how long each question took.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from time import monotonic, perf_counter, sleep

from edge_client.target.client import TargetClient
from edge_client.target.credentials import Credentials
from edge_client.target.retry import Retry
from shared.config import Coupling, Sampling
from shared.errors import TargetError

# Tokens of a prompt and of what is asked for; seconds between two questions of a device.
PROMPT, ASKED, THINKS = 24, 4, 0.03
# Whoever has no answer after so many seconds has lost the question, which bounds the time of all.
RETRY = Retry(total=5.0)
# Of so many questions one goes over a connection that is made for it.
NEW = 2


@dataclass
class Asked:
    """What became of questions.

    Attributes:
        held: seconds that each took over the connection that its device keeps, in which broken links were mended.
        new: likewise over one of its own, which is made first.
        wrong: answers that were not what the same question brought before.
        lost: questions that were given up.
    """

    held: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)
    wrong: int = 0
    lost: int = 0

    def add(self, other: Asked) -> None:
        """Count those of another one, too."""
        self.held += other.held
        self.new += other.new
        self.wrong += other.wrong
        self.lost += other.lost


class Device:
    """Asks the same short question again and again, each time as a text of its own.

    Args:
        number: of it, by which its question differs from others'.
    """

    def __init__(self, number: int, address: str, credentials: Credentials) -> None:
        self._address, self._credentials = address, credentials
        self._prompt = [20 + (7 * number + place) % 200 for place in range(PROMPT)]
        self._client = self._connect()
        self._answer = self._ask(self._client)

    def ask(self, seconds: float) -> Asked:
        """Ask for so long."""
        asked, ends, number = Asked(), monotonic() + seconds, 0
        while monotonic() < ends:
            number += 1
            is_new = number % NEW == 0
            begun = perf_counter()
            try:
                answer = self._anew() if is_new else self._ask(self._client)
            except TargetError:
                asked.lost += 1
            else:
                (asked.new if is_new else asked.held).append(perf_counter() - begun)
                asked.wrong += answer != self._answer
            sleep(THINKS)
        return asked

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _connect(self) -> TargetClient:
        return TargetClient.connect(self._address, RETRY, self._credentials)

    def _anew(self) -> list[int]:
        with self._connect() as client:
            return self._ask(client)

    def _ask(self, client: TargetClient) -> list[int]:
        with client.session(Sampling(0.8, seed=5), Coupling.GUMBEL, (), PROMPT) as session:
            return [own.token for own in session.write_on(self._prompt, ASKED) if own is not None]


def main() -> None:
    given = json.loads(sys.argv[1])
    credentials = Credentials(ca=given["ca"], token=given["token"])
    devices = [Device(number, given["address"], credentials) for number in range(given["devices"])]
    print("here", flush=True)
    with ThreadPoolExecutor(len(devices)) as threads:
        for line in sys.stdin:
            together = Asked()
            for asked in threads.map(lambda device, seconds=float(line): device.ask(seconds), devices):
                together.add(asked)
            print(json.dumps(asdict(together)), flush=True)
    for device in devices:
        device.close()


if __name__ == "__main__":
    main()
