"""Answers what is at hand before anything else looks at it: pure ASGI, for any server.

Outermost, around the guard: what app.hot holds passed the guard and a door a moment ago, and
goes out again byte for byte. Everything else goes on, and what a door offers is kept.
"""

from __future__ import annotations

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import answers
from app.hot import Hot
from app.hot.answer import REQUEST_ID, Answer, answer
from app.hot.offer import OFFER, Offer
from app.hot.question import Question, question


class FastPath:
    """Wraps the application; the lifespan's state holds the ``Hot`` as ``hot``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass it on."""
        hot: Hot | None = scope.get("state", {}).get("hot") if scope["type"] == "http" else None
        asked = None if hot is None else _asked(scope, hot.unusual)
        if hot is None:
            await self._app(scope, receive, send)
        elif asked is not None and (found := hot.find(asked)) is not None:
            await _give(hot, asked, found, send)
        else:
            offer = scope[OFFER] = hot.offer()
            if asked is not None:
                hot.missed += 1
                send = _Kept(hot, asked, offer, scope, send).send
            await self._app(scope, receive, send)


def _asked(scope: Scope, unusual: frozenset[bytes]) -> Question | None:
    if scope.get("http_version") != "1.1":
        return None
    raw: bytes | None = scope.get("raw_path")
    if raw is None:  # only decoded: not known exactly
        return None
    query: bytes = scope.get("query_string", b"")
    target = raw + b"?" + query if query else raw
    peer = (scope.get("client") or ("",))[0].encode()
    return question(scope["method"].encode(), target, scope["headers"], unusual, peer=peer)


async def _give(hot: Hot, asked: Question, found: Answer, send: Send) -> None:
    began = perf_counter()
    if found.download is not None:
        hot.counting.downloaded(found.download, asked)
    request_id = hot.request_id()
    headers = [(name, request_id if name == REQUEST_ID else value) for name, value in found.headers]
    start: Message = {"type": "http.response.start", "status": found.status, "headers": headers}
    if found.reason is not None:
        start[answers.REASON] = found.reason
    await send(start)
    await send({"type": "http.response.body", "body": found.body})
    if hot.counting.spans is not None:
        hot.counting.timed(perf_counter() - began, asked, found, request_id)


class _Kept:
    """Passes an answer on, and keeps it where its door offered it."""

    def __init__(self, hot: Hot, asked: Question, offer: Offer, scope: Scope, send: Send) -> None:
        self._hot, self._asked, self._offer, self._send = hot, asked, offer, send
        self._scope = scope
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if self._offer.made:
            if message["type"] == "http.response.start":
                self._start = message
            elif self._start is not None and message["type"] == "http.response.body":
                start, self._start = self._start, None
                if not message.get("more_body", False):
                    self._keep(start, message.get("body", b""))
        await self._send(message)

    def _keep(self, start: Message, body: bytes) -> None:
        headers = tuple((name.lower(), value) for name, value in start["headers"])
        if self._asked.key[0] == b"HEAD":  # the server leaves it out; given from here it would not
            body = b""
        made = answer(start["status"], headers, body, reason=start.get(answers.REASON))
        if made is not None:
            made.route = getattr(self._scope.get("route"), "path", "")
            self._hot.keep(self._asked, self._offer, made)
