"""Driving the protocol without an event loop: every feed is a pass of its own, run when its answer is asked for.

The server does the same with a scheduler between the answers and the engine (`cloud_target/server/servicer.py`).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from cloud_target.engine.interface import Engine, Feed, all_scores
from cloud_target.protocol.answer import Pause, answer
from cloud_target.protocol.begin import begin
from cloud_target.protocol.forthcoming import MOST_AHEAD
from cloud_target.protocol.prospects import Prospects
from cloud_target.protocol.requests import Limits, Request
from cloud_target.sessions.session import Session
from cloud_target.sessions.table import SessionTable
from shared.wire.v1 import target_pb2 as wire

Responses = Generator[wire.DecodeResponse, None, None]


def drive(session: Session, request: Request, engine: Engine, prospects: Prospects | None = None) -> Responses:
    """The responses to one request on a session that was taken for it; close the generator to cut the answer short.

    Args:
        prospects: of the stream; may grow between any two answers.
    """
    prospects = Prospects() if prospects is None else prospects
    with closing(answer(session, request, Limits.of(engine), prospects)) as steps:
        step = next(steps, None)
        while step is not None:
            if isinstance(step, Feed):
                [scores] = all_scores(engine.forward([step]))
                step = steps.send(scores)  # a feed is never the last step
            else:
                if not isinstance(step, Pause):  # nothing comes here while anybody waits
                    yield step
                step = next(steps, None)


def serve(table: SessionTable, request: Request, engine: Engine, prospects: Prospects | None = None) -> Responses:
    """The responses to one request, from taking its session to giving it back.

    Args:
        prospects: as in `drive`.

    Raises:
        TargetBusy: there is no room now.
    """
    session = begin(table, request, engine.context, MOST_AHEAD if prospects and prospects.waiting() else 0)
    try:
        yield from drive(session, request, engine, prospects)
    finally:
        table.put_back(request.terms.key)
        table.check_integrity()
        engine.check_integrity()
