"""Engines that tests have loaded in another process, by what those processes are given as settings."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from cloud_target.engine.interface import Feed, Scores, Vitals
from cloud_target.engine.scripted import ScriptedEngine, random_script
from shared.errors import InputError, TargetError

VOCABULARY = 12


class Faulty(ScriptedEngine):
    """Does what the first token of a feed says, if that is one of these; looks at the text of every feed."""

    FAILS, DIES, HANGS, IS_WRONG = range(4)

    def __init__(self) -> None:
        super().__init__(random_script(VOCABULARY), VOCABULARY, context=64)
        self.texts: list[list[int]] = []

    def forward(self, feeds: Sequence[Feed]) -> list[Any]:
        match feeds[0].tokens[0]:
            case self.FAILS:
                raise Unheard(f"about {feeds}")
            case self.DIES:
                os.kill(os.getpid(), signal.SIGKILL)
            case self.HANGS:
                time.sleep(1e6)
            case self.IS_WRONG:
                return [TargetError("its rows came to nothing")]
        scores: list[Scores] = super().forward(feeds)
        self.texts = [list(feed.text[: feed.start]) for feed in feeds]
        return scores

    def vitals(self) -> Vitals:
        """How much text it saw, in the place of something else."""
        return Vitals(second_looks=sum(map(sum, self.texts)))


class Unheard(Exception):
    """Known in one process only."""


def faulty(_: object, tell: Callable[[str], None]) -> Faulty:
    tell("it is faulty")
    return Faulty()


def refused(sentence: str, _: Callable[[str], None]) -> ScriptedEngine:
    raise InputError(sentence)


def dies(_: object, __: Callable[[str], None]) -> ScriptedEngine:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it is gone")
