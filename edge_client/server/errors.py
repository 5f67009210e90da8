"""Errors as OpenAI's API reports them: a status, and an object with a sentence, a type, a parameter and a code."""

from __future__ import annotations

from typing import Any

from shared.errors import (
    AccessDenied,
    CapReached,
    ContextLengthError,
    InputError,
    LimitReached,
    OtherTarget,
    ProtocolError,
    TandemError,
    TargetBusy,
    TargetError,
    TargetUnavailable,
)

_INVALID, _SERVER = "invalid_request_error", "server_error"
# Of each kind of error its status, type and code; the first that fits.
_KINDS: tuple[tuple[type[TandemError], int, str, str | None], ...] = (
    (ContextLengthError, 400, _INVALID, "context_length_exceeded"),
    (InputError, 400, _INVALID, None),
    (LimitReached, 429, "rate_limit_error", "rate_limit_exceeded"),
    (TargetBusy, 503, _SERVER, "target_busy"),
    (CapReached, 429, "insufficient_quota", "cap_reached"),
    (TargetUnavailable, 503, _SERVER, "target_unavailable"),
    (AccessDenied, 502, _SERVER, "target_denied_access"),
    (OtherTarget, 502, _SERVER, "target_changed"),
    (TargetError, 502, _SERVER, "target_refused"),
    (ProtocolError, 502, _SERVER, "target_protocol"),
    (TandemError, 500, _SERVER, None),
)

# Fields of a request that stand inside of `tandem`, by the names of the settings that they are.
_INSIDE = {
    "mode",
    "budget",
    "criterion",
    "strict_structure",
    "coupling",
    "prefer",
    "window",
    "audit",
    "timeout",
    "on_outage",
    "domain",
    "adapter",
}

# Of `logprobs` and the like; the field, and what to set it to.
NO_ALTERNATIVES = (
    "the target tells how likely the token is that stands in the text, not what else it might have been: {}"
)


class ApiError(Exception):
    """What a request is answered with that cannot be done.

    Args:
        status: of HTTP.
        sentence: what is wrong, and what to do.
        kind: OpenAI's type of the error.
        param: the field that is wrong.
        code: for programs.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        kind: str = _INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers or {}
        self.body: dict[str, Any] = {"error": {"message": sentence, "type": kind, "param": param, "code": code}}

    @classmethod
    def of(cls, error: TandemError) -> ApiError:
        """An error of ours."""
        _, status, kind, code = next(row for row in _KINDS if isinstance(error, row[0]))
        # OpenAI's clients ask again after a 429, and a cap lasts until tomorrow.
        headers = {"x-should-retry": "false"} if isinstance(error, CapReached) else {}
        if isinstance(error, TargetBusy) and error.retry_after is not None:
            headers["Retry-After"] = str(max(1, round(error.retry_after)))
        if error.request_id:  # OpenAI's own key, by which its clients show it
            headers["x-request-id"] = error.request_id
        param = _field_of(error.options[0]) if error.options and isinstance(error, InputError) else None
        return cls(status, str(error), kind, param, code, headers)


def failed() -> ApiError:
    """A mistake of the server's own; what it was stands on standard error, where uvicorn writes it."""
    return ApiError(500, "the server failed at this request; its standard error says why", "server_error")


def _field_of(option: str) -> str:
    """The field by which an option is given, of which an error may name a value, too."""
    name = option.partition(" ")[0]
    return f"tandem.{name}" if name in _INSIDE else name


def unsupported(name: str, sentence: str) -> ApiError:
    """A field of OpenAI's API that means something which is not done here."""
    return ApiError(400, sentence, param=name, code="unsupported_parameter")
