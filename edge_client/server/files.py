"""The files that are served as they are: those of the page at `/`, and the document of the API."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

_HERE = files("edge_client.server")
_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
}
_HEADERS = {
    # A text may hold anything: nothing of it, and nothing from elsewhere, is ever run or loaded.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for again each time, and answered with 304 where nothing has changed
}


class StaticFiles:
    """The page and the document, read once.

    Attributes:
        page: the names of the page's files, `index.html` among them.
    """

    def __init__(self) -> None:
        page = {file.name: file.read_bytes() for file in _HERE.joinpath("page").iterdir() if _kind(file.name) in _KINDS}
        self.page = sorted(page)
        self._bodies = {f"page/{name}": body for name, body in page.items()}
        self._bodies["openapi.json"] = _HERE.joinpath("openapi.json").read_bytes()

    def answer(self, request: Request, name: str) -> Response | None:
        """One file, or 304 for who has it already; None where there is no such file.

        Args:
            name: as in `openapi.json` and `page/index.html`.
        """
        body = self._bodies.get(name)
        if body is None:
            return None
        tag = f'"{sha256(body).hexdigest()[:32]}"'
        headers = _HEADERS | {"ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=_KINDS[_kind(name)], headers=headers)


def _kind(name: str) -> str:
    return name.rpartition(".")[2]
