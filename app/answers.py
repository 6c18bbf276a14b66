"""How errors look on the wire: one table, one shape, for routes and guard alike.

The body is ``{"code": "400 why", "message": "why"}`` under exactly ``application/json``: what
uv shows (UPL-14). The message is also offered as the reason phrase, which is all that twine
shows; app.protocol writes it (UPL-15).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from app import errors
from app.reports import IDENTITY, entry_of, reporting
from app.state import of as _state

logger = logging.getLogger(__name__)

REASON = "pypicloud.reason"
"""The key of ``http.response.start`` that carries the reason phrase; other servers ignore it."""
REASON_LENGTH = 200
CHALLENGE = 'Basic realm="pypicloud", charset="UTF-8"'

STATUS: Mapping[type[Exception], int] = {
    errors.PypicloudError: 500,
    errors.NotFound: 404,
    # A door that asks the storage for a key knows that it is there; 404 would be a lie.
    errors.KeyNotFound: 500,
    errors.Invalid: 400,
    errors.ActionGone: 410,
    errors.Refused: 400,
    errors.UserExists: 409,
    errors.GroupExists: 409,
    errors.PublisherExists: 409,
    errors.NotEditable: 409,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.TooManyAttempts: 429,
    errors.ProjectClosed: 403,
    errors.Quarantined: 403,
    errors.Withheld: 403,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
}


def status(error: Exception) -> int:
    """The status code of an error: that of the nearest branch in the table, else 500."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def reason(message: str) -> bytes:
    """A message as a reason phrase: printable ASCII, one line, at most 200 characters."""
    plain = "".join(char if " " <= char <= "~" else "?" for char in message[:REASON_LENGTH])
    return plain.encode("ascii")


class ErrorResponse(JSONResponse):
    """An answer that is not a success."""

    def __init__(
        self, status_code: int, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.message = message
        self._reason = reason(message)
        shape = {"code": f"{status_code} {message}", "message": message}
        super().__init__(shape, status_code, {"Cache-Control": "no-store", **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, the reason phrase beside it."""

        async def phrased(message: Message) -> None:
            if message["type"] == "http.response.start":
                message[REASON] = self._reason
            await send(message)

        await super().__call__(scope, receive, phrased)


def answer(error: Exception, request_id: str = "") -> ErrorResponse:
    """The answer to an error of ours; what is no fault of the client says no detail."""
    code = status(error)
    if code == 500:
        return ErrorResponse(500, f"Internal error; the log has it as request {request_id}.")
    headers = {}
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = CHALLENGE
    if isinstance(error, errors.Unavailable | errors.TooManyAttempts):
        headers["Retry-After"] = str(error.retry_after)
    return ErrorResponse(code, str(error), headers)


async def ours(request: Request, error: Exception) -> ErrorResponse:
    """The answer to an error of ours, noted where that is due."""
    if isinstance(error, errors.Forbidden) and request.scope.get(IDENTITY) is not None:
        _note_refusal(request)
    if isinstance(error, errors.Corrupt):
        note_damage(request, error)
    found = answer(error, request_id(request.scope))
    if found.status_code >= 500:
        logger.log(
            logging.ERROR if found.status_code == 500 else logging.WARNING,
            "request %s: %s: %s",
            request_id(request.scope),
            type(error).__name__,
            error,
        )
    return found


def _note_refusal(request: Request) -> None:
    scoped = request.scope[IDENTITY].scope is not None
    action = "token.scope_denied" if scoped else "authz.denied"
    reporting(request)(action, target=f"{request.method} {request.url.path}")


def note_damage(request: HTTPConnection, error: errors.Corrupt) -> None:
    """Write into the audit trail that what is stored is not what was recorded."""
    path = request.scope["path"]
    facts = {"outcome": "fail", "after": {"why": str(error)}}
    _state(request)["chronicle"].note(entry_of(request, "integrity.failure", path, **facts))


async def http(request: Request, error: HTTPException) -> ErrorResponse:
    """The answer to an error of the framework."""
    text = error.detail if isinstance(error.detail, str) else ""
    return ErrorResponse(
        error.status_code, text or HTTPStatus(error.status_code).phrase, error.headers
    )


async def invalid(request: Request, error: RequestValidationError) -> ErrorResponse:
    """Which fields are wrong and why, never what was sent in them."""
    lines = []
    for wrong in error.errors():
        # The last part of an unknown field's place is what the client calls it.
        place = wrong["loc"][:-1] if wrong["type"] == "extra_forbidden" else wrong["loc"]
        lines.append(f"{'.'.join(map(str, place))}: {wrong['msg']}")
    return ErrorResponse(400, "; ".join(lines[:5]) or "The request is not valid.")


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


async def _unexpected(request: Request, error: Exception) -> Response:
    return answer(error, request_id(request.scope))


def request_id(scope: Scope) -> str:
    """The id that guard gave the request; empty where there is no guard."""
    found: str = scope.get("pypicloud.request_id", "")
    return found


HANDLERS: Mapping[Any, Any] = {
    errors.PypicloudError: ours,
    HTTPException: http,
    RequestValidationError: invalid,
    ClientDisconnect: _gone,
    Exception: _unexpected,
}
"""What ``FastAPI(exception_handlers=…)`` takes; a branch serves all its leaves."""
