"""The application: rooms opened, doors mounted, guard outermost.

``uvicorn app.main:app`` and ``uvicorn --factory app.main:create_app`` both serve it; what
``pypicloud serve`` adds is in app.protocol.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from packaging.utils import NormalizedName
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import __version__, answers, config, errors, plugins
from app.access import policy
from app.access.bootstrap import ensure_admin
from app.config import Settings
from app.dependencies import Probe, State
from app.guard import BodyLimits, Guard, Hosts, Proxies
from app.guard.hosts import parse
from app.index import Index
from app.index.keep import keep
from app.pages import Pages
from app.routes import api, docs, files, health, home, json_api, simple, upload
from app.upload.inspection import inspectors

STALE = timedelta(days=1)
TELLTALES = ("aiobotocore", "aiohttp", "azure", "boto3", "botocore", "gcloud", "google", "msal")
"""Loggers of libraries that write signatures and tokens where they are more talkative."""
_SECURITY = {"basic": {"type": "http", "scheme": "basic"}}
_DESCRIPTION = """\
A private Python package index. Everything below `/simple/`, `/files/` and `/pypi/` is what
installers read, `/legacy/` is where they upload; `/api/v1` is for people and scripts. Errors
are JSON: `{"code": "404 …", "message": "…"}`."""


class Application(FastAPI):
    """FastAPI inside the guard."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.settings = settings
        super().__init__(**options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; a start that fails by one of our errors says one line, not a traceback."""
        if scope["type"] == "lifespan":
            send = _one_line(send)
        await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """The guard around everything that FastAPI itself puts around the routes."""
        settings = self.settings
        public = (settings.public_url or "").partition("://")[2].partition("/")[0]
        hosts = set(settings.allowed_hosts)
        if public and (name := parse(public)):
            hosts.add(name)
        return Guard(
            super().build_middleware_stack(),
            hosts=Hosts(hosts),
            proxies=Proxies(settings.trusted_proxies, hops=settings.trusted_proxy_hops),
            limits=BodyLimits(upload=settings.max_file_size),
            root_path=settings.root_path,
        )

    def openapi(self) -> dict[str, Any]:
        """The description, with how clients say who they are."""
        if not self.openapi_schema:
            schema = super().openapi()
            schema.setdefault("components", {})["securitySchemes"] = _SECURITY
            schema["security"] = [{"basic": []}, {}]
            for operation in (one for path in schema["paths"].values() for one in path.values()):
                # A request that is not valid gets 400, in our shape.
                operation["responses"].pop("422", None)
            for unused in ("HTTPValidationError", "ValidationError"):
                schema["components"].get("schemas", {}).pop(unused, None)
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

    def lifespan(app: FastAPI) -> AbstractAsyncContextManager[dict[str, Any]]:
        return _opened(chosen)

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
        exception_handlers=dict(answers.HANDLERS),
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for door in (home, simple, files, json_api, upload, api, health):
        app.include_router(door.router)
    if settings.docs:
        app.include_router(docs.router)
    return app


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[dict[str, Any]]:
    async with AsyncExitStack() as stack:
        state = await open_state(settings, stack)
        await stack.enter_async_context(
            keep(state["index"], reconcile_every=settings.reconcile_interval)
        )
        yield dict(state)


async def open_state(settings: Settings, stack: AsyncExitStack) -> State:
    """Open every room that the settings name; ``stack`` closes them in reverse."""
    for name in TELLTALES:
        logging.getLogger(name).setLevel(logging.WARNING)
    storage = await stack.enter_async_context(
        plugins.backend("storage", settings.storage)(settings.storage, settings.storage_options)
    )
    cache = await stack.enter_async_context(
        plugins.backend("cache", settings.cache)(settings.cache, settings.cache_options)
    )
    access = await stack.enter_async_context(open_access(settings))
    await announce_admin(settings, access)
    index = Index(
        storage,
        cache,
        redirect=settings.delivery == "redirect",
        url_expires=settings.url_expires,
        delete_grace=settings.delete_grace,
        legacy_metadata=settings.legacy_metadata,
        refresh=settings.page_refresh,
        stale=settings.stale_limit,
        memory=settings.page_memory // 2,
    )
    await asyncio.to_thread(prepare_spool, settings.spool)
    nobody = NormalizedName("health")
    probes: dict[str, Probe] = {
        "storage": lambda: storage.head("health"),
        "cache": cache.serial,
        "access": lambda: access.grants(nobody, None),
    }
    return State(
        settings=settings,
        defaults=policy.Defaults(read=settings.default_read, upload=settings.default_write),
        index=index,
        pages=Pages(memory=settings.page_memory // 2),
        access=access,
        inspectors=await stack.enter_async_context(inspectors(count=settings.inspectors)),
        probes=probes,
    )


def prepare_spool(directory: Path) -> None:
    """Make it, and remove what uploads left that a crash ended a day ago or earlier."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for left in directory.glob("upload-*"):
            with suppress(FileNotFoundError):  # another process was first
                if time.time() - left.stat().st_mtime > STALE.total_seconds():
                    left.unlink()
    except OSError as error:
        reason = f"{config.variable('spool')}: {directory} cannot be used: {error.strerror}"
        raise errors.Misconfigured(reason) from error


def open_access(settings: Settings) -> AbstractAsyncContextManager[Any]:
    """The access backend that the settings name."""
    options = {"password_min_length": settings.password_min_length}
    return plugins.backend("access", settings.access)(settings.access, options)


async def announce_admin(settings: Settings, access: Any) -> None:
    """See that there is an admin; a password made for that goes to the console, never a log."""
    if hasattr(access, "add_user"):
        secret = settings.admin_password
        made = await ensure_admin(access, secret.get_secret_value() if secret else None)
        if made is not None:
            sys.stderr.write(f"The admin's name is 'admin', the password, shown once: {made}\n")


def _one_line(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            last = str(message.get("message", "")).strip().rpartition("\n")[2]
            if last.startswith(f"{errors.__name__}."):
                message = {**message, "message": f"pypicloud: {last.partition(': ')[2]}"}
        await send(message)

    return sending


def __getattr__(name: str) -> FastAPI:
    """``app`` is made when it is first asked for, so that importing reads no settings."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()["app"] = create_app()
    return made
