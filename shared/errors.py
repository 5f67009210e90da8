"""Every error a user can meet, in one tree.

    TandemError
    ├── InputError              the user gave something that cannot be used
    │   ├── BundleError         a bundle is missing, damaged, or another model's
    │   ├── ContextLengthError  the prompt does not fit in the context
    │   └── DamagedMemory       what was remembered of earlier texts cannot be read
    ├── ProtocolError           the other side said something that the contract does not allow
    │   ├── UnknownCall         it asked for a call that there is not
    │   └── UnknownService      it asked about a service that there is not
    └── TargetError             the target could not be asked
        ├── TargetUnavailable   no connection, or it was cut and could not be restored
        │   ├── LinkBroken      one stream is gone or silent; another one may do
        │   ├── TargetAway      it was tried for as long as was allowed
        │   │   └── CapReached  the user lets this device spend no more today
        │   └── TargetBusy      no room at this moment; the same request may succeed later
        │       └── LimitReached    there may be room, but not for this tenant
        ├── TargetRefused       the target understood and said no
        │   ├── AccessDenied    it does not know who asks: no token, or one that it does not take
        │   └── OtherTarget     it is another target than the one that the text belongs to
        └── TargetMismatch      it serves another vocabulary or tokenizer than the bundle's

Each has a `reason` (for machines), a sentence (for people) that says what to do, and an exit status. Sentences name no
option of a command line; `options` does, and the command lines append them in their own spelling.
"""

from __future__ import annotations

# Exit status of a program that Ctrl-C ended, as shells report SIGINT. It is no error, so it has no class below.
INTERRUPTED = 130
# Characters of another library's error that stand in a sentence.
_LONGEST_LINE = 300


class TandemError(Exception):
    """Base of all errors that Tandem raises on purpose.

    Args:
        sentence: what happened, and what to do about it.
        options: names of the options that would help, such as "max_tokens" or "mode local".

    Attributes:
        request_id: by which the target's log knows the call that ended so; "" where there was none, or nobody said.
    """

    reason = "ERROR"
    exit_status = 1
    request_id = ""

    def __init__(self, sentence: str = "", *, options: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.options = options


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


class DamagedMemory(InputError):
    """The file was read, and holds nothing that could have been remembered."""

    reason = "DAMAGED_MEMORY"


class ProtocolError(TandemError):
    """The other side said something that the contract does not allow."""

    reason = "PROTOCOL"


class UnknownCall(ProtocolError):
    """The other side asked for a call that there is not."""

    reason = "UNKNOWN_CALL"


class UnknownService(ProtocolError):
    """The other side asked about a service that there is not."""

    reason = "UNKNOWN_SERVICE"


class TargetError(TandemError):
    """The target could not be asked."""

    reason = "TARGET"
    exit_status = 3


class TargetUnavailable(TargetError):
    """No connection to the target, or it was cut and could not be restored in time."""

    reason = "UNAVAILABLE"


class TargetAway(TargetUnavailable):
    """The target was tried for as long as was allowed.

    Attributes:
        clause: the same without what to do about it, to go on from.
        may_return: whether it may be there at any moment; not where it is just too busy.
    """

    reason = "AWAY"

    def __init__(
        self,
        sentence: str = "",
        clause: str = "the target is away",
        may_return: bool = True,
        *,
        options: tuple[str, ...] = (),
    ) -> None:
        super().__init__(sentence, options=options)
        self.clause = clause
        self.may_return = may_return


class CapReached(TargetAway):
    """What the user lets this device spend in a day is spent, or cannot be counted: nothing is sent."""

    reason = "CAP_REACHED"

    def __init__(self, clause: str = "", advice: str = "", *, options: tuple[str, ...] = ()) -> None:
        super().__init__(f"{clause}; {advice}" if advice else clause, clause, may_return=False, options=options)
        self.advice = advice


class LinkBroken(TargetUnavailable):
    """The link is gone, or silent for too long. Open another and repeat the request: nothing is lost.

    Attributes:
        reached: whether anything that was sent may have come to the target.
    """

    reason = "LINK_BROKEN"

    def __init__(self, sentence: str = "", reached: bool = True, *, options: tuple[str, ...] = ()) -> None:
        super().__init__(sentence, options=options)
        self.reached = reached


class TargetBusy(TargetUnavailable):
    """The target has no room just now. The same request may succeed after a while.

    Attributes:
        retry_after: how long a while, seconds; None where nobody knows.
    """

    reason = "BUSY"

    def __init__(self, sentence: str = "", retry_after: float | None = None, *, options: tuple[str, ...] = ()) -> None:
        super().__init__(sentence, options=options)
        self.retry_after = retry_after


class LimitReached(TargetBusy):
    """There may be room, but not for this tenant."""

    reason = "LIMIT"


class TargetRefused(TargetError):
    """The target understood the request and refused it."""

    reason = "REFUSED"


class AccessDenied(TargetRefused):
    """The target does not know who asks: there was no token, or one that it does not take."""

    reason = "UNAUTHENTICATED"


class OtherTarget(TargetRefused):
    """What answers is another target than the one that was asked before, whose text it never goes on with."""

    reason = "OTHER_TARGET"


class TargetMismatch(TargetError):
    """The target serves another vocabulary or tokenizer than the bundle's."""

    reason = "MISMATCH"


def first_line(error: BaseException) -> str:
    """What another library's error says, as much as fits into a sentence."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."
