"""The body of a request: read within a bound, and as JSON."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from edge_client.server.errors import ApiError
from edge_client.server.replies import LEFT


async def read_json(request: Request, most: int) -> dict[str, Any]:
    """The object that a request carries.

    Args:
        most: bytes.

    Raises:
        ApiError: it is too large, or none.
    """
    body = bytearray()
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise _too_large(most)
    try:
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise _too_large(most)
    except ClientDisconnect:
        raise ApiError(LEFT, "the client left before its request was whole") from None
    try:
        found = json.loads(bytes(body), parse_constant=_no_constant)
        if b"\\u" in body:
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is JSON, and no text
    except UnicodeEncodeError:
        raise ApiError(400, "the request holds half a surrogate pair, which is no character; leave it out") from None
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the request is no JSON that can be read ({error})") from None
    if not isinstance(found, dict):
        raise ApiError(400, 'the request must be a JSON object, like {"prompt": "Once upon a time"}')
    return found


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"the request is larger than {most} bytes, the most that is read here", code="too_large")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
