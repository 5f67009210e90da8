"""Which gRPC status and which metadata each error becomes: the one table."""

from __future__ import annotations

import math

import grpc

from shared import errors
from shared.wire import metadata

STATUSES: dict[type[errors.TandemError], grpc.StatusCode] = {
    errors.TandemError: grpc.StatusCode.INTERNAL,
    errors.InputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.BundleError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ContextLengthError: grpc.StatusCode.OUT_OF_RANGE,
    errors.DamagedMemory: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ProtocolError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnknownCall: grpc.StatusCode.UNIMPLEMENTED,
    errors.UnknownService: grpc.StatusCode.NOT_FOUND,
    errors.TargetError: grpc.StatusCode.INTERNAL,
    errors.TargetUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.TargetRefused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.AccessDenied: grpc.StatusCode.UNAUTHENTICATED,
    errors.OtherTarget: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TargetMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    errors.CapReached: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.LinkBroken: grpc.StatusCode.UNAVAILABLE,
    errors.TargetAway: grpc.StatusCode.UNAVAILABLE,
    errors.TargetBusy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.LimitReached: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def status_of(error: errors.TandemError) -> grpc.StatusCode:
    """The status of the nearest class in the table."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def metadata_of(error: errors.TandemError) -> tuple[tuple[str, str], ...]:
    """The trailing metadata that goes with it."""
    reason = (metadata.REASON, error.reason)
    if isinstance(error, errors.TargetBusy) and error.retry_after is not None:
        return reason, (metadata.PUSHBACK, str(math.ceil(1e3 * error.retry_after)))
    return (reason,)
