"""Admission: who calls, and whether they may. Between the wire and everything that costs something."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cloud_target.access.quotas import Quota, Usage
from cloud_target.access.tokens import Grant, TokenFile
from cloud_target.sessions.session import session_key
from shared.errors import AccessDenied
from shared.wire.metadata import AUTHORIZATION

# Tenants are kept apart by name; where nobody has to say who they are, all are this one.
ANYBODY = ""


@dataclass(frozen=True)
class Caller:
    """Who makes a call that was let in.

    Attributes:
        usage: of the tenant, shared by all its calls.
        grant: of its token; None where no tokens are asked for.
    """

    usage: Usage
    grant: Grant | None

    @property
    def tenant(self) -> str:
        return self.usage.tenant


class Admission:
    """Lets calls in. Runs inside one event loop.

    Args:
        tokens: who may call; None lets everybody.
        quota: for tenants of which the tokens do not say otherwise.
        forget: drops the cache of a session, by `session_key`.
    """

    def __init__(self, tokens: TokenFile | None, quota: Quota, forget: Callable[[bytes], None]) -> None:
        self._tokens = tokens
        self._quota = quota
        self._forget = forget
        self._usages: dict[str, Usage] = {}

    def admit(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Let the caller of this metadata in.

        Raises:
            AccessDenied: the token is missing or unknown.
        """
        if self._tokens is None:
            return Caller(self._usage(ANYBODY, self._quota), None)
        grant = self._tokens.authenticate(_bearer(metadata))
        return Caller(self._usage(grant.tenant, self._quota.override(grant.limits)), grant)

    def knows(self, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
        """Whether this metadata has a token that lets its caller in; without a file of tokens, whatever it has."""
        if self._tokens is None:
            return True
        try:
            token = _bearer(metadata)
            return token is not None and self._tokens.authenticate(token) is not None
        except AccessDenied:
            return False

    def check(self, caller: Caller) -> None:
        """See that the caller is still welcome: calls may last for long.

        Raises:
            AccessDenied: the token was withdrawn.
            LimitReached: the tokens of the minute are used up.
        """
        self.welcome(caller)
        caller.usage.check()

    def welcome(self, caller: Caller) -> None:
        """See that the caller's token still holds, whatever was used up.

        Raises:
            AccessDenied: it was withdrawn.
        """
        if self._tokens is not None and caller.grant is not None:
            grant = self._tokens.check(caller.grant)
            self._usage(grant.tenant, self._quota.override(grant.limits))  # other calls may have met other limits

    def state(self) -> object:
        """Something that stays the same for as long as all callers are as welcome as they were."""
        return None if self._tokens is None else self._tokens.state()

    def _usage(self, tenant: str, quota: Quota) -> Usage:
        usage = self._usages.get(tenant)
        if usage is None:
            usage = Usage(tenant, quota, lambda session_id: self._forget(session_key(tenant, session_id)))
            self._usages[tenant] = usage
        elif usage.quota != quota:
            usage.change(quota)
        return usage


def _bearer(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """The token of an `authorization: Bearer ...`, None without one.

    Raises:
        AccessDenied: more than one, or of another kind.
    """
    values = [value for key, value in metadata if key == AUTHORIZATION]
    if not values:
        return None
    kind, _, token = values[0].partition(" ") if isinstance(values[0], str) else ("", "", "")
    if len(values) > 1 or kind.lower() != "bearer":
        raise AccessDenied("the authorization is not one bearer token; send `authorization: Bearer TOKEN`")
    return token.strip()
