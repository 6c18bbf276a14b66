"""The application: rooms opened, doors mounted, guard outermost.

``uvicorn app.main:app`` and ``uvicorn --factory app.main:create_app`` both serve it; what
``pypicloud serve`` adds is in app.protocol.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import __version__, answers, config, errors, plugins
from app.access.chronicle import Chronicle
from app.access.ledger import Entry
from app.config import Settings
from app.downloads import counting
from app.fastpath import FastPath
from app.guard import BodyLimits, Guard, Hosts, Proxies
from app.guard.hosts import parse
from app.hooks.delivery import telling
from app.index import Index
from app.index.collect import SYSTEM, Collected
from app.index.keep import keep
from app.life import minding
from app.metrics.shared import sharing
from app.opening import open_state
from app.reloading import heeding, reload
from app.routes import (
    account,
    account_publishers,
    api,
    audit,
    docs,
    downloads,
    files,
    former,
    former_grants,
    former_people,
    grants,
    groups,
    health,
    integrity,
    json_api,
    login,
    metrics,
    notifications,
    oidc,
    publishers,
    registration,
    retention,
    simple,
    sso,
    tokens,
    upload,
    upstreams,
    users,
    web,
)
from app.routes.browsing import Elsewhere, elsewhere
from app.routes.router import described, install, overridden

SELDOM = (50_000, 20, 20)
"""When garbage is searched for (gc.set_threshold): a search holds up everything, and one through
all that is kept takes a tenth of a second. What a request leaves behind is gone without it."""
_SECURITY = {
    "basic": {"type": "http", "scheme": "basic"},
    "token": {"type": "http", "scheme": "bearer"},
}
_DESCRIPTION = """\
A private Python package index. Everything below `/simple/`, `/files/` and `/pypi/` is what
installers read, `/legacy/` is where they upload; `/api/v1` is for people and scripts. Errors
are JSON: `{"code": "404 …", "message": "…"}`."""


class Application(FastAPI):
    """FastAPI inside the guard."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.settings = settings
        self.state_given: Any = {}
        """What the server gives copies of to requests: who changes it changes what they see."""
        super().__init__(**options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; a start that fails by one of our errors says one line, not a traceback."""
        if scope["type"] == "lifespan":
            send = _one_line(send)
            self.state_given = scope.get("state", {})
        overridden.set(self.dependency_overrides)
        await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """The guard around all that FastAPI puts around the routes, what is hot around both."""
        settings = self.settings
        public = (settings.public_url or "").partition("://")[2].partition("/")[0]
        hosts = set(settings.allowed_hosts)
        if public and (name := parse(public)):
            hosts.add(name)
        guard = Guard(
            super().build_middleware_stack(),
            hosts=Hosts(hosts),
            proxies=Proxies(
                settings.trusted_proxies,
                hops=settings.trusted_proxy_hops,
                user_header=settings.sso.header,
            ),
            limits=BodyLimits(upload=settings.max_file_size),
            root_path=settings.root_path,
        )
        return FastPath(guard)

    def openapi(self) -> dict[str, Any]:
        """The description, with how clients say who they are."""
        if not self.openapi_schema:
            schema = super().openapi()
            components = schema.setdefault("components", {})
            components["securitySchemes"] = _SECURITY
            components["schemas"] = {**described(), **components.get("schemas", {})}
            schema["security"] = [{"basic": []}, {"token": []}, {}]
            for operation in (one for path in schema["paths"].values() for one in path.values()):
                # A request that is not valid gets 400, in our shape.
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
            for unused in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(unused, None)
        return self.openapi_schema or {}


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application for these settings, or for those of the environment.

    Ends the process, with one line, where it reads settings that cannot be.
    """
    if settings is None:
        try:
            settings = config.load()
        except errors.Misconfigured as wrong:
            sys.exit(f"pypicloud: {wrong}")
    chosen = settings

    def lifespan(_: FastAPI) -> AbstractAsyncContextManager[dict[str, Any]]:
        return _opened(chosen, lambda: reload(app.state_given))

    app = Application(
        settings,
        title="PyPICloud",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        exception_handlers={**answers.HANDLERS, Elsewhere: elsewhere, HTTPException: web.missing},
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    doors = [
        web.router,
        simple.router,
        files.router,
        integrity.router,
        json_api.router,
        upload.router,
        api.router,
        users.router,
        groups.router,
        grants.router,
        registration.router,
        tokens.router,
        audit.router,
        upstreams.router,
        notifications.router,
        retention.router,
        downloads.router,
        oidc.router,
        publishers.router,
        login.router,
        sso.router,
        account.router,
        account_publishers.router,
        health.router,
        metrics.router,
    ]
    if settings.docs:
        doors.append(docs.router)
    # Last: it takes what no other door is for.
    install(app, [*doors, former_people.router, former_grants.router, former.router])
    return app


@asynccontextmanager
async def _opened(
    settings: Settings, again: Callable[[], Awaitable[None]]
) -> AsyncIterator[dict[str, Any]]:
    gc.set_threshold(*SELDOM)
    async with AsyncExitStack() as stack:
        state = await open_state(settings, stack)
        await stack.enter_async_context(
            keep(
                state["index"],
                reconcile_every=settings.reconcile_interval,
                reindex_every=settings.reindex_interval,
                changes_kept=settings.changes_kept,
                heard=noting(state["chronicle"]),
            )
        )
        await _hear(settings, state["index"], stack)
        await stack.enter_async_context(telling(state["couriers"]))
        await stack.enter_async_context(counting(state["downloads"]))
        await stack.enter_async_context(sharing(state["shared"]))
        stack.enter_context(minding(state["life"], drain=settings.drain))
        stack.enter_context(heeding(again))
        yield dict(state)


def noting(chronicle: Chronicle) -> Callable[[Collected], Awaitable[None]]:
    """Writes into the audit trail what was removed from the storage for good."""

    async def note(collected: Collected) -> None:
        now, facts = datetime.now(UTC), asdict(collected)
        entry = Entry(
            number=0, time=now, action="gc", actor=SYSTEM, target="", outcome="ok", after=facts
        )
        await chronicle.append(entry)

    return note


async def _hear(settings: Settings, index: Index, stack: AsyncExitStack) -> None:
    """Have the index hear what the queue of the settings, if any, tells of."""
    if settings.notifications.sqs_url is not None:
        options = settings.notifications.beside(settings.s3, settings.s3.region)
        await stack.enter_async_context(plugins.polling()(options, index.notified.hear))


def _one_line(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            wrong = sys.exc_info()[1]  # what the lifespan is ending with
            if isinstance(wrong, errors.PypicloudError):
                message = {**message, "message": f"pypicloud: {wrong}"}
        await send(message)

    return sending


def __getattr__(name: str) -> FastAPI:
    """``app`` is made when it is first asked for, so that importing reads no settings."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()["app"] = create_app()
    return made
