"""Which gRPC status and which machine-readable reason each error becomes: the one table."""

from __future__ import annotations

import grpc

from shared import errors

REASON_KEY = "tandem-reason"


class TargetBusy(errors.TargetUnavailable):
    """Every slot is in use at this moment."""

    reason = "BUSY"


STATUSES: dict[type[errors.TandemError], grpc.StatusCode] = {
    errors.TandemError: grpc.StatusCode.INTERNAL,
    errors.InputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.BundleError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ContextLengthError: grpc.StatusCode.OUT_OF_RANGE,
    errors.ProtocolError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.TargetError: grpc.StatusCode.INTERNAL,
    errors.TargetUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.TargetRefused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TargetMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    TargetBusy: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def status_of(error: errors.TandemError) -> grpc.StatusCode:
    """The status of the nearest class in the table."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
