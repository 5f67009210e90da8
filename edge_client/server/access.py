"""Who may ask: a key, and names of this server that no web page can forge."""

from __future__ import annotations

import hmac
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_client.server.errors import ApiError
from shared.addresses import bare_host, is_loopback

# What needs no key: whoever watches over the server has none, the page asks its reader for one, and the document of the
# API says that there may be one.
OPEN = ("/health", "/openapi.json", "/")
OPEN_FOLDER = "/page/"


class Access:
    """Lets requests through that may be answered.

    Where no key is needed, a web page could reach the server of whoever looks at it. Under a name of its own, which it
    lets point to this machine: so the name that a request gives must be one of a loopback address. Or by a form that is
    sent unasked: the page may not read the answer, but it is written, and paid. So where a browser says that a request
    comes from another site, that must be one of `origins`.

    Args:
        key: None where nobody needs one.
        origins: web pages that may ask; "*" is any.
    """

    def __init__(self, app: ASGIApp, key: str | None, origins: Collection[str] = ()) -> None:
        self._app = app
        self._key = key
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "http":
                self._check(scope["path"], Headers(scope=scope))
        except ApiError as error:
            await JSONResponse(error.body, error.status, error.headers)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, path: str, headers: Headers) -> None:
        if self._key is None:
            name = headers.get("host", "")
            host = name[: name.rfind("]") + 1] if name.startswith("[") else name.partition(":")[0]
            if not is_loopback(bare_host(host)):
                raise ApiError(
                    403, f"{name or 'a request without a name'} is no name of this server: ask 127.0.0.1 or localhost"
                )
            origin = headers.get("origin")
            if origin not in (None, f"http://{name}", f"https://{name}", *self._origins) and "*" not in self._origins:
                raise ApiError(
                    403, f"a web page of {origin} may not ask this server, unless it was started to allow that"
                )
        elif path not in OPEN and not path.startswith(OPEN_FOLDER):
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._key.encode()):
                raise ApiError(
                    401,
                    "this server wants its key: send it as `Authorization: Bearer KEY`, which clients call the API key",
                    code="invalid_api_key",
                    headers={"WWW-Authenticate": "Bearer"},
                )
