"""A program that spends as fast as it can and tells what a target would have counted: `python -m ... DIR SEED CAP`.

A line a call on standard output: calls, tokens in, tokens out, in all. It is written when the request would be under
way: after the ledger was asked, and before it is told what came of it.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from edge_client.usage.account import Account
from edge_client.usage.amount import Amount
from edge_client.usage.caps import Caps
from edge_client.usage.daybook import Payee
from edge_client.usage.ledger import Ledger
from shared.errors import CapReached
from shared.wire.v1 import target_pb2 as wire


def main(directory: str, seed: str, cap: str) -> None:
    """Spend until the cap is reached, or somebody kills this."""
    chance, bill = random.Random(seed), Amount()
    caps = Caps(cap_tokens=int(cap) or None)
    account = Account(Ledger.at(Path(directory)), Payee("here", "f", "n"), caps)
    for number in range(1, 1_000_000):
        tokens = [0] * chance.randint(1, 90)
        request = wire.DecodeRequest(tokens=tokens, write_on=chance.choice((0, 0, 0, 9)))
        try:
            account.ask(number, request)
        except CapReached:
            return
        written = 1 + chance.randint(0, request.write_on)
        bill += Amount(1, len(tokens), written)
        os.write(1, f"{bill.calls} {bill.tokens_in} {bill.tokens_out}\n".encode())
        verdict = wire.DecodeResponse(request_id=number, verdict=wire.Verdict(token=0))
        account.answered(verdict, frozenset())
        if written > 1:
            rest = wire.Continuation(tokens=[0] * (written - 1), done=True)
            account.answered(wire.DecodeResponse(request_id=number, continuation=rest), frozenset())
            bill += Amount(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
