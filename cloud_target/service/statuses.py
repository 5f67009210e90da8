"""Which gRPC status and which metadata each error becomes: the one table."""

from __future__ import annotations

import math

import grpc

from shared import errors

# Trailing metadata of every call that ends with an error: its machine-readable reason.
REASON_KEY = "tandem-reason"
# And, where another try may succeed: milliseconds until then. The key is gRPC's own (proposal A6).
PUSHBACK_KEY = "grpc-retry-pushback-ms"
# What everybody hears whom the server's end leaves without an answer.
STOPPING = "the target is shutting down; connect again"


class TargetBusy(errors.TargetUnavailable):
    """No room at this moment.

    Attributes:
        retry_after: seconds after which another try may succeed; None where nobody knows.
    """

    reason = "BUSY"

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class LimitReached(TargetBusy):
    """There may be room, but not for this tenant."""

    reason = "LIMIT"


STATUSES: dict[type[errors.TandemError], grpc.StatusCode] = {
    errors.TandemError: grpc.StatusCode.INTERNAL,
    errors.InputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.BundleError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ContextLengthError: grpc.StatusCode.OUT_OF_RANGE,
    errors.ProtocolError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.TargetError: grpc.StatusCode.INTERNAL,
    errors.TargetUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.TargetRefused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.AccessDenied: grpc.StatusCode.UNAUTHENTICATED,
    errors.TargetMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    TargetBusy: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def status_of(error: errors.TandemError) -> grpc.StatusCode:
    """The status of the nearest class in the table."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def metadata_of(error: errors.TandemError) -> tuple[tuple[str, str], ...]:
    """The trailing metadata that goes with it."""
    reason = (REASON_KEY, error.reason)
    if isinstance(error, TargetBusy) and error.retry_after is not None:
        return reason, (PUSHBACK_KEY, str(math.ceil(1e3 * error.retry_after)))
    return (reason,)
