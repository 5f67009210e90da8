"""Why a text was written as it was, in a sentence with the numbers."""

from __future__ import annotations

from collections.abc import Mapping

from edge_client.auto.chooser import WORTH_LEAVING, Chooser
from edge_client.settings import Prefer
from edge_client.usage.notes import verifier_note
from shared.config import Mode

_WHO = {
    Mode.SPRINT: "the device led (sprint)",
    Mode.EXACT: "the target led, with guesses of the device (exact)",
    Mode.CLOUD: "the target wrote alone (cloud)",
}
_FOR = {
    Prefer.SPEED: "the fastest",
    Prefer.COST: "what takes the target least",
    Prefer.ENERGY: "what takes both sides together least",
}


def explanation(chooser: Chooser, prefer: Prefer, verifiers: Mapping[str, int] | None = None) -> str:
    """Who led, for how many tokens, and what each mode was expected to take; and who doubted, of several."""
    led = [f"{_WHO[mode]} for {count} tokens" for mode, count in chooser.tokens.items() if count]
    expected = ", ".join(f"{mode} {_figures(chooser, mode, prefer)}" for mode in chooser.tokens)
    who = " and ".join(led) or _WHO[chooser.mode]
    return f"{who}, as {_FOR[prefer]}; expected of a token: {expected} ({_grounds(chooser)})" + (
        f"; {verifier_note(verifiers)}" if verifiers else ""
    )


def prospects(chooser: Chooser) -> tuple[bool, str]:
    """Whether splitting is expected to be clearly faster than the target's plain stream, and the numbers for it."""
    seconds = {mode: chooser.forecast(mode).seconds for mode in chooser.tokens}
    stream = seconds.pop(Mode.CLOUD)
    best = min(seconds, key=lambda mode: seconds[mode])
    pays = WORTH_LEAVING * seconds[best] < stream
    split = ", ".join(f"{mode} {1e3 * taken:.1f} ms" for mode, taken in seconds.items())
    told = f"pays, by {stream / seconds[best]:.1f} times in {best}" if pays else "does not pay here"
    return pays, (
        f"{split}, and the target's plain stream {1e3 * stream:.1f} ms a token: splitting {told} ({_grounds(chooser)})"
    )


def _grounds(chooser: Chooser) -> str:
    """What the forecasts rest on."""
    now, spread = chooser.conditions, chooser.spread
    asks = f", and sprint asks about {100 * now.ask_rate:.1f} % of the tokens" if Mode.SPRINT in chooser.tokens else ""
    return (
        f"the draft takes {1e3 * now.draft:.2f} ms, a pass of the target {1e3 * now.plain_step:.1f} ms, a round trip "
        f"{1e3 * now.round_trip:.1f} ms + {1e3 * spread:.1f}{asks}"
    )


def _figures(chooser: Chooser, mode: Mode, prefer: Prefer) -> str:
    found = chooser.forecast(mode)
    value = {Prefer.SPEED: found.seconds, Prefer.COST: found.target, Prefer.ENERGY: found.work}[prefer]
    return f"{1e3 * value:.2f} ms"
