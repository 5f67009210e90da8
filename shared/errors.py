"""Every error a user can meet, in one tree.

    TandemError
    ├── InputError              the user gave something that cannot be used
    │   ├── BundleError         a bundle is missing, damaged, or another model's
    │   └── ContextLengthError  the prompt does not fit in the context
    ├── ProtocolError           the other side said something that the contract does not allow
    └── TargetError             the target could not be asked
        ├── TargetUnavailable   no connection, or it was cut and could not be restored
        ├── TargetRefused       the target understood and said no
        │   └── AccessDenied    it does not know who asks: no token, or one that it does not take
        └── TargetMismatch      it serves another vocabulary or tokenizer than the bundle's

Each has a `reason` (for machines), a sentence (for people) that says what to do, and an exit status.
"""

from __future__ import annotations


class TandemError(Exception):
    """Base of all errors that Tandem raises on purpose."""

    reason = "ERROR"
    exit_status = 1


class InputError(TandemError):
    """The user gave something that cannot be used."""

    reason = "INVALID_INPUT"
    exit_status = 2


class BundleError(InputError):
    """A bundle is missing, damaged, or belongs to another model."""

    reason = "BAD_BUNDLE"


class ContextLengthError(InputError):
    """The prompt, or prompt and continuation together, do not fit in the context."""

    reason = "CONTEXT_LENGTH"


class ProtocolError(TandemError):
    """The other side said something that the contract does not allow."""

    reason = "PROTOCOL"


class TargetError(TandemError):
    """The target could not be asked."""

    reason = "TARGET"
    exit_status = 3


class TargetUnavailable(TargetError):
    """No connection to the target, or it was cut and could not be restored in time."""

    reason = "UNAVAILABLE"


class TargetRefused(TargetError):
    """The target understood the request and refused it."""

    reason = "REFUSED"


class AccessDenied(TargetRefused):
    """The target does not know who asks: there was no token, or one that it does not take."""

    reason = "UNAUTHENTICATED"


class TargetMismatch(TargetError):
    """The target serves another vocabulary or tokenizer than the bundle's."""

    reason = "MISMATCH"
