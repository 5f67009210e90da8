"""What passes of a target take: it judges a few tokens after a fixed prompt, and writes a few by itself."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from time import perf_counter

from edge_client.bundles.bundle import Bundle
from edge_client.doctor.device import PROMPT
from edge_client.doctor.remote import Remote
from edge_client.target.client import TargetClient
from edge_client.target.retry import Retry
from edge_client.target.session import TargetSession
from shared.config import Coupling, Mode
from shared.findings import Check, Finding, fail, ok, warn

# Seconds for all of it, and after which no more is asked.
_WRITING, _LONG_ENOUGH = 6.0, 2.0
# Tokens that the target is asked about, one a call, and that it writes by itself.
_ASKED, _WRITTEN = 6, 8


class Passes:
    """The check of a target's model."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def checks(self) -> list[Check]:
        """There is one."""
        return [("target step", self._steps)]

    def _steps(self) -> Iterator[Finding]:
        remote = self._remote
        if remote.description is None or (bundle := remote.bundle) is None:
            return
        try:
            asked, wrote = remote.deadline.within(_WRITING, lambda seconds: self._write(bundle, seconds))
        except TimeoutError as error:
            yield fail("target step", f"the target answers, but judges no token ({error}); its operator should look")
            return
        asked, wrote = ([each for each in taken if each > 0] for taken in (asked, wrote))  # 0 where it does not say
        remote.pace.passed(Mode.SPRINT, asked)
        remote.pace.passed(Mode.CLOUD, wrote)
        if not (asked and wrote):
            yield warn("target step", "tokens are judged and written, but the target does not say what that takes it")
            return
        yield ok(
            "target step",
            f"{1e3 * median(asked):.1f} ms for a pass that judges, {1e3 * median(wrote):.1f} ms for one that writes "
            f"(medians of {len(asked)} and {len(wrote)}, after the prompt was read)",
            judging=median(asked),
            writing=median(wrote),
        )

    def _write(self, bundle: Bundle, seconds: float) -> tuple[list[float], list[float]]:
        """What passes took, seconds: those that judged, and those that wrote."""
        remote, text, begin = self._remote, bundle.encode(PROMPT), perf_counter()
        client = TargetClient(remote.transport, remote.address, Retry(attempt=seconds, total=seconds), timeout=seconds)
        remote.calls += 1
        end_ids, prompt = bundle.manifest.end_ids, len(text)
        with client.session(remote.settings.sampling, Coupling.GUMBEL, end_ids, prompt, seconds) as session:
            remote.tokens += prompt
            asked = self._ask(session, text, begin)
            session.meter.steps.clear()
            for own in session.write_on(text, _WRITTEN):
                if own is not None and perf_counter() - begin > 2 * _LONG_ENOUGH:
                    break
            return asked, list(session.meter.steps)

    def _ask(self, session: TargetSession, text: list[int], begin: float) -> list[float]:
        """Have the text go on as the target says, a question a token; the first one reads the prompt."""
        own = session.judge(text, len(text)).own
        for _ in range(_ASKED):
            if own is None or perf_counter() - begin > _LONG_ENOUGH:
                break
            text.append(own.token)
            guess = text[-1]  # any token will do: a pass takes the same, whether it stands or not
            verdict = session.judge([*text, guess], len(text))
            self._remote.tokens += 1
            if verdict.stands:
                text.append(guess)
            own = verdict.own
        if own is not None:
            text.append(own.token)
        return list(session.meter.steps)
