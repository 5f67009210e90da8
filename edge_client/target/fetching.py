"""A file of the bundle that a target offers, as it comes: calls that end early are gone on with."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from edge_client.target.outage import Outage
from edge_client.target.retry import PASSING, Patience
from edge_client.target.transport import Transport
from edge_client.target.verdict import nonsense
from shared.contents import BundleFile
from shared.errors import LinkBroken
from shared.wire.bundles import CHUNK_BYTES


def chunks(
    transport: Transport, digest: str, file: BundleFile, offset: int, patience: Patience, outage: Outage
) -> Generator[bytes]:
    """The bytes of a file from `offset` on; together they are its size. What is in them nobody has checked.

    Args:
        digest: of the whole bundle, hex.
        patience: renewed by every chunk.
        outage: told of failures, and of their end.

    Raises:
        TargetUnavailable: nothing comes any more, and the patience is used up.
        TargetRefused: the target offers another bundle by now, or was told not to send this one.
        ProtocolError: more than the file has, or chunks that the contract does not allow.
    """
    while offset < file.size:
        try:
            with closing(transport.fetch(bytes.fromhex(digest), file.name, offset, patience.attempt())) as call:
                for chunk in call:
                    if not 0 < len(chunk) <= CHUNK_BYTES:
                        raise nonsense(f"a chunk of {len(chunk)} bytes")
                    offset += len(chunk)
                    if offset > file.size:
                        raise nonsense(f"more of {file.name} than the {file.size} bytes that it is said to have")
                    outage.answered(patience)
                    patience.renew()
                    yield chunk
            if offset < file.size:
                raise LinkBroken(f"the target ended {file.name} after {offset} of {file.size} bytes")
        except PASSING as error:
            outage.failed(error, patience)
            patience.after(error)
