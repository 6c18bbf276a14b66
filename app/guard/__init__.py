"""The outermost ASGI layer: what every request must satisfy before anything looks at it.

Framing, path, Host and forwarded headers, body limits and time-outs, security headers and the
request id (docs/guard.md). It works under any ASGI server; what ASGI cannot see (slow headers,
idle connections, reason phrases) is app.protocol's.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import answers, logs
from app.guard import framing
from app.guard.bodies import Body, BodyLimits
from app.guard.framing import Refusal
from app.guard.hosts import Hosts
from app.guard.proxies import Proxies
from app.life import Life
from app.metrics import Meters
from app.metrics.doors import door
from app.traces import Traces

__all__ = ["BodyLimits", "Guard", "Hosts", "Proxies"]

logger = logging.getLogger(__name__)

_POLICY = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": _POLICY,
    b"cross-origin-resource-policy": b"same-origin",
}
_HSTS = (b"strict-transport-security", b"max-age=31536000")


class Guard:
    """Wraps an ASGI application. A request that breaks a rule never reaches it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Hosts,
        proxies: Proxies,
        limits: BodyLimits,
        root_path: str = "",
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._proxies = proxies
        self._limits = limits
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass the lifespan on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["pypicloud.request_id"] = asked = secrets.token_hex(8)
        exchange = _Exchange(scope, send, Body(scope, receive, self._limits))
        logs.request.set(asked)
        with exchange.counted(self._root_path):
            if (traces := exchange.traces) is None:
                await self._answer(scope, exchange)
                return
            with traces.request(scope["method"], self._proxies.tracing(scope)) as span:
                try:
                    await self._answer(scope, exchange)
                finally:
                    route = getattr(scope.get("route"), "path", "")
                    span.answered(route, exchange.status, asked)

    async def _answer(self, scope: Scope, exchange: _Exchange) -> None:
        try:
            framing.check(scope)
            self._proxies.apply(scope)
            self._mount(scope)
            self._hosts.check(scope)
            exchange.body.limit = self._limits.allow(scope)
        except Refusal as refusal:
            refused = answers.ErrorResponse(refusal.status, str(refusal), refusal.headers)
            await refused(scope, exchange.body.receive, exchange.send)
            return
        await exchange.run(self._app)

    def _mount(self, scope: Scope) -> None:
        """Below the root path, whether or not the proxy in front takes it off."""
        path: str = scope["path"]
        root = self._root_path
        if root and path != root and not path.startswith(f"{root}/"):
            scope["path"] = root + path
            scope["raw_path"] = root.encode() + framing.raw_path(scope)
        scope["root_path"] = root


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, body: Body) -> None:
        self.body = body
        self._scope = scope
        self._send = send
        self._started = False
        self._complete = False
        self._status = 0
        state = scope.get("state", {})
        self._life: Life | None = state.get("life")
        self._meters: Meters | None = state.get("meters")
        self.traces: Traces | None = state.get("traces")

    @property
    def status(self) -> int:
        """What was answered; 0 where that broke off, or nothing was."""
        return self._status if self._complete else 0

    @contextmanager
    def counted(self, root_path: str) -> Iterator[None]:
        """Counts the request, and how long it takes."""
        meters = self._meters
        if meters is None:
            yield
            return
        begun = perf_counter()
        at = door(self._scope["method"], self._scope["path"], root_path)
        running = meters.running
        running.value += 1
        try:
            yield
        finally:
            running.value -= 1
            meters.timing("request_seconds", at).observe(perf_counter() - begun)
            if self._started:
                meters.count("requests", at, str(self._status)).value += 1
            if not self._complete:
                meters.count("requests_broken", at).value += 1

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer; what it fails to catch is logged once, with the id."""
        try:
            await app(self._scope, self.body.receive, self.send)
        except Exception:
            logger.exception("request %s failed", answers.request_id(self._scope))
            if not self._started:
                failure = answers.answer(RuntimeError(), answers.request_id(self._scope))
                await failure(self._scope, self.body.receive, self.send)
            elif not self._complete:
                raise  # the server cuts the connection: a part must not look whole

    async def send(self, message: Message) -> None:
        """Pass the answer on, with our headers; its end waits for the request's body."""
        if message["type"] == "http.response.start":
            self._started = True
            self._status = message["status"]
            message = {**message, "headers": self._headers(message)}
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self._complete = True
            if self.body.unread:
                # All of the answer first, for clients that look; then the rest of the body,
                # for those that finish sending before they do (UPL-17).
                await self._send({**message, "more_body": True})
                await self.body.drain()
                message = {"type": "http.response.body"}
        await self._send(message)

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        present = {name for name, _ in headers}
        headers += [(name, value) for name, value in _HEADERS.items() if name not in present]
        headers.append((b"x-request-id", answers.request_id(self._scope).encode()))
        if self._scope["scheme"] == "https":
            headers.append(_HSTS)
        ending = self._life is not None and self._life.draining
        if (self.body.unread or ending) and b"connection" not in present:
            headers.append((b"connection", b"close"))
        return headers
