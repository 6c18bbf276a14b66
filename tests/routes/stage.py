"""The reading doors on a real index in memory: who asks, what is there, and what they get."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response
from packaging.utils import NormalizedName
from starlette.types import ASGIApp, Receive, Scope, Send

from app import answers, plugins
from app.access import books, policy
from app.access.base import EditableAccess
from app.cache.memory import MemoryCache
from app.config import Settings
from app.dependencies import IndexDep
from app.hot import Hot
from app.hot.offer import OFFER, Offer
from app.index import Index
from app.life import Life
from app.metrics import Meters
from app.models import Actor, File, Hashes, Kind, Permission
from app.names import normalize
from app.pages import Pages
from app.routes import files, json_api, notifications, simple, xmlrpc
from app.routes.reading import ReaderDep
from app.storage.memory import MemoryStorage
from app.upload.attestations import Attestor
from app.upload.distribution import Distribution
from app.upstream.options import RuleOptions
from app.upstream.rules import Rules
from app.upstream.upstreams import Upstreams
from tests.factories import Made

ADA = Actor(kind="user", id="ada")
PASSWORD = "correct horse battery"
ORIGIN = "http://index.example"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """An index with its doors open."""

    index: Index
    cache: MemoryCache
    storage: MemoryStorage
    access: EditableAccess
    app: ASGIApp
    folder: Path

    def client(self, *login: str, **options: Any) -> httpx.AsyncClient:
        """A client, with this username and password; it sends no Accept of its own."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        client = httpx.AsyncClient(
            transport=transport,
            base_url=ORIGIN,
            auth=httpx.BasicAuth(*login) if login else None,
            **options,
        )
        for header in ("accept", "accept-encoding"):
            client.headers.pop(header)
        return client

    async def publish(self, made: Made, *, metadata: bytes = b"Name: x\n", **given: Any) -> File:
        """Publish a distribution that passed every check."""
        stem, _, rest = made.filename.partition("-")
        path = self.folder / made.filename
        path.write_bytes(made.content)
        wheel = made.filename.endswith(".whl")
        facts: dict[str, Any] = {
            "project": normalize(stem),
            "display_name": stem,
            "version": rest.split("-")[0] if wheel else rest.removesuffix(".tar.gz"),
            "filename": made.filename,
            "kind": Kind.WHEEL if wheel else Kind.SDIST,
            "python_version": "py3" if wheel else "source",
            "size": len(made.content),
            "hashes": Hashes(
                sha256=made.sha256,
                blake2b_256=hashlib.blake2b(made.content, digest_size=32).hexdigest(),
                md5=hashlib.md5(made.content).hexdigest(),
            ),
            "path": path,
            "metadata": metadata,
            "metadata_static": wheel,
        }
        published = await self.index.publish(Distribution(**(facts | given)), ADA)
        return published.file

    async def user(self, name: str, *, admin: bool = False) -> tuple[str, str]:
        """Somebody with a password; what to log in with."""
        await self.access.add_user(name, PASSWORD, admin=admin)
        return name, PASSWORD

    async def grant(self, project: str, principal: str, *permissions: Permission) -> None:
        """Grant permissions on a project that is there."""
        name = NormalizedName(project)
        generation = await self.index.generation(name)
        assert generation is not None
        await self.access.grant(name, generation, principal, frozenset(permissions))


class Located(MemoryStorage):
    """A storage that clients can fetch from by themselves."""

    signed = 0
    """How many URLs it was asked for."""

    async def url(self, key: str, *, filename: str, expires_in: object) -> str | None:
        self.signed += 1
        return f"https://bucket.example/{key}?signature=secret-{self.signed}"


@asynccontextmanager
async def opened(
    folder: Path, *read: str, storage: MemoryStorage | None = None, **settings: Any
) -> AsyncIterator[Stage]:
    """A stage where the principals ``read`` may read every project without grants."""
    where = f"sqlite+aiosqlite:///{folder}/access.db"
    options = {"password_memory": 8, "password_passes": 1}
    async with (
        plugins.backend("access", where)(where, options) as access,
        books.kept(access, access.ledger) as kept,
    ):
        storage = MemoryStorage() if storage is None else storage
        cache = MemoryCache()
        await cache.set_built()
        index = Index(storage, cache)
        defaults = policy.Defaults(read=frozenset(read))
        state = {
            "settings": Settings(**settings),
            "defaults": defaults,
            "life": Life(),
            "meters": Meters(),
            "hot": Hot(defaults, memory=0, following=index.follower),
            "index": index,
            "pages": Pages(),
            "upstreams": Upstreams(
                (),
                Rules.of(RuleOptions()),
                index,
                storage,
                spool=folder,
                largest=1,
                verify=Attestor().publishers,
                told=print,
            ),
            "access": access,
            "ledger": access.ledger,
            "limits": kept.limits,
            "authenticator": kept.authenticator,
            "chronicle": kept.chronicle,
            "downloads": None,
        }
        yield Stage(
            index=index,
            cache=cache,
            storage=storage,
            access=access,
            app=_doors(state, settings.get("root_path", "")),
            folder=folder,
        )


def _doors(state: dict[str, Any], root_path: str) -> ASGIApp:
    app = FastAPI(redirect_slashes=False, exception_handlers=dict(answers.HANDLERS))
    for door in (simple, files, json_api, notifications):
        app.include_router(door.router)

    @app.post("/pypi")
    async def call(request: Request, index: IndexDep, reader: ReaderDep) -> Response:
        return await xmlrpc.answer(request, index, reader)

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = dict(state)
        scope[OFFER] = Offer(since=0)
        # As the guard does it: the proxy in front took the root path off.
        scope["root_path"], scope["path"] = root_path, root_path + scope["path"]
        await app(scope, receive, send)

    return mounted
