"""Who may ask: a file of tokens, of which it holds only hashes.

A line a token: the tenant's name, "sha256:ID:HASH", perhaps "expires=" with a date and time as in RFC 3339, and limits
that differ from the server's (`Quota.override`). Empty lines and lines that begin with # are skipped.

A token is "tandem_ID_SECRET": ID names the line and is its salt, SECRET is 32 random bytes. Passwords need a slow hash
because people choose them; nobody can guess 256 random bits however fast the hash is, so SHA-256 loses nothing, and a
call costs microseconds instead of the tenths of a second of scrypt, which anybody could make the server spend.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cloud_target.access.expiry import EXPIRES, Clock, Expiring, now, parse_date, show_date
from cloud_target.access.followed import Followed
from cloud_target.access.quotas import Quota, limits_in_words
from cloud_target.access.regular import read_regular
from shared.errors import AccessDenied, InputError

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# A token itself, which is never shown: somebody may have put it where its file belongs.
SECRET = re.compile(r"tandem_[0-9a-f]{16}_[A-Za-z0-9_-]+")
_HASH = re.compile(r"sha256:([0-9a-f]{16}):([0-9a-f]{64})")
_TOKEN = re.compile(r"tandem_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
_NO_HASH = "0" * 64
# To whoever calls, and to whoever is in the middle of a call.
_UNKNOWN = "the target does not know this token, or it was withdrawn; ask its operator for a new one"


@dataclass(frozen=True)
class Grant:
    """What a token is good for.

    Attributes:
        token_id: the public part of the token.
        tenant: whose it is.
        limits: what the line says of them, see `Quota.override`.
        expires: when it ceases to be good; None for never.
        digest: of the token.
    """

    token_id: str
    tenant: str
    limits: tuple[str, ...]
    expires: datetime | None = None
    digest: str = field(default="", repr=False)


def new_token(tenant: str, expires: datetime | None = None) -> tuple[str, str]:
    """A new random token, and the line about it for the file.

    Args:
        expires: when it ceases to be good; None for never.

    Raises:
        InputError: that is no name for a tenant.
    """
    _check_tenant(tenant)
    token_id = secrets.token_hex(8)
    token = f"tandem_{token_id}_{secrets.token_urlsafe(32)}"
    until = "" if expires is None else f" {EXPIRES}{expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return token, f"{tenant} sha256:{token_id}:{_digest(token)}{until}"


def add_line(path: Path, line: str) -> None:
    """Append a line to a file of tokens; a new file can be read and written by its owner only.

    Raises:
        InputError: it cannot be written, or what is there is no file of tokens.
    """
    try:
        text = read_regular(path).decode() if path.exists() else ""
        parse_tokens(text, path)
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as file:
            file.write(("\n" if text and not text.endswith("\n") else "") + line + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot write {path}: {_why(error)}; give another --file") from None


def parse_tokens(text: str, path: Path) -> dict[str, Grant]:
    """Grants by token id.

    Args:
        path: for messages.

    Raises:
        InputError: a line that makes no sense, or contradicts another. No part of the line is quoted: it may be a
            token that was pasted there by mistake.
    """
    grants: dict[str, Grant] = {}
    limits_of: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"{path}, line {number}"
        found = _HASH.fullmatch(words[1]) if len(words) > 1 else None
        if not (_TENANT.fullmatch(words[0]) and found):
            raise InputError(
                f"{where}: a line must hold a tenant, a hash and perhaps limits; make lines with "
                "`cloud-target token new TENANT`"
            )
        try:
            expires, limits = _expiry(words[2:])
        except ValueError:
            raise InputError(
                f"{where}: {EXPIRES} must be followed by a date and time as in {EXPIRES}2027-01-31T00:00:00Z, and may "
                "stand there once"
            ) from None
        try:
            Quota().override(limits)
        except InputError:
            raise InputError(
                f"{where}: only {EXPIRES}DATE and limits may follow the hash: {limits_in_words()}, each once"
            ) from None
        if found[1] in grants:
            raise InputError(f"{where}: this token is there already; remove one of the two lines")
        if limits_of.setdefault(words[0], limits) != limits:
            raise InputError(f"{where}: tenant {words[0]} has other limits further up; give all its lines the same")
        grants[found[1]] = Grant(found[1], words[0], limits, expires, found[2])
    return grants


class TokenFile:
    """A file of tokens that is read again when it changes. A file that cannot be used leaves the last good one in use,
    and a token that is missing in it is good until a later look finds it missing, too.

    Args:
        clock: tells the time.
        seconds: tells how far two looks are apart.

    Raises:
        InputError: it cannot be read, or makes no sense.
    """

    def __init__(self, path: Path, clock: Clock = now, seconds: Callable[[], float] = time.monotonic) -> None:
        self._followed = Followed("the tokens", [path], lambda: _read(path), seconds, _keep)
        self._clock, self._expiring = clock, Expiring(clock)
        self._look(is_news=True)

    @property
    def _grants(self) -> dict[str, Grant]:
        return self._followed.value

    def authenticate(self, token: str | None) -> Grant:
        """Who has this token.

        Raises:
            AccessDenied: nobody has, there is none, or it is not good any more.
        """
        self._look(self._followed.follow())
        if token is None:
            raise AccessDenied("this target wants a token; give the one from its operator")
        found = _TOKEN.fullmatch(token)
        grant = self._grants.get(found[1] if found else "")
        if not hmac.compare_digest(_digest(token), grant.digest if grant else _NO_HASH) or grant is None:
            raise AccessDenied(_UNKNOWN)
        return self._still_good(grant)

    def check(self, grant: Grant) -> Grant:
        """The same grant as it is now: limits may have changed.

        Raises:
            AccessDenied: the token was withdrawn, or is not good any more.
        """
        self._look(self._followed.follow())
        found = self._grants.get(grant.token_id)
        if found is None or (found.tenant, found.digest) != (grant.tenant, grant.digest):
            raise AccessDenied(_UNKNOWN)
        return self._still_good(found)

    def state(self) -> object:
        """Something that stays the same for as long as whoever was let in may go on."""
        self._look(self._followed.follow())
        now = self._clock()
        over = sum(grant.expires is not None and grant.expires <= now for grant in self._grants.values())
        return self._grants, over

    def _still_good(self, grant: Grant) -> Grant:
        if grant.expires is not None and grant.expires <= self._clock():
            raise AccessDenied(
                f"this token was good until {show_date(grant.expires)}; ask the target's operator for a new one"
            )
        return grant

    def _look(self, is_news: bool) -> None:
        self._expiring.look(((grant.tenant, grant.expires) for grant in self._grants.values()), is_news)


def _expiry(words: Sequence[str]) -> tuple[datetime | None, tuple[str, ...]]:
    """Until when, and the words that say something else.

    Raises:
        ValueError: that makes no sense.
    """
    dates = [word.removeprefix(EXPIRES) for word in words if word.startswith(EXPIRES)]
    if len(dates) > 1:
        raise ValueError("several dates")
    rest = tuple(word for word in words if not word.startswith(EXPIRES))
    return (parse_date(dates[0]) if dates else None), rest


def _read(path: Path) -> dict[str, Grant]:
    try:
        return parse_tokens(read_regular(path).decode(), path)
    except (OSError, UnicodeDecodeError) as error:
        shown = SECRET.sub("(a token, not shown)", str(path))
        raise InputError(f"cannot read {shown}: {_why(error)}; give a file of tokens") from None


def _keep(old: dict[str, Grant], new: dict[str, Grant]) -> dict[str, Grant] | None:
    """The new ones and those that are missing among them; None where none is."""
    return {**old, **new} if old.keys() - new.keys() else None


def _check_tenant(tenant: str) -> None:
    if not _TENANT.fullmatch(tenant):
        raise InputError(
            f"{tenant!r} is not a name for a tenant; use up to 64 letters, digits, dots, dashes and underscores"
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _why(error: OSError | UnicodeDecodeError) -> str:
    return "it is not text" if isinstance(error, UnicodeDecodeError) else (error.strerror or "failed").lower()
