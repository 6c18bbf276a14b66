"""The whole service on files of its own, users beside it, and its ledger to look into."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from app.access.ledger import Entry, Ledger
from app.access.sql import SqlAccess, connect
from app.config import Settings
from app.main import create_app
from tests.factories import Made, form, make_wheel
from tests.serving import serving_ready

T = TypeVar("T")

PASSWORD = "a fine long passphrase"
ADMIN = ("admin", "correct horse battery")
CHEAP = {"password_memory": 64, "password_passes": 1}


class Bearer(httpx.Auth):
    """A token, as uv can send it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


@dataclass(frozen=True)
class Site:
    """A service under way."""

    url: str
    users: str
    http: httpx.Client
    spool: Path

    def ask(self, method: str, path: str, *, auth: Any = None, **more: Any) -> httpx.Response:
        """One request, by whoever ``auth`` is: name and password, or a token alone."""
        who = ("__token__", auth) if isinstance(auth, str) else auth
        self.http.cookies.clear()
        return self.http.request(method, f"{self.url}{path}", auth=who, **more)

    def token(self, auth: Any = ADMIN, **asked: Any) -> dict[str, Any]:
        """A new token, as the API answers."""
        body = {"name": "ci", "permissions": ["read"], **asked}
        answer = self.ask("POST", "/api/v1/tokens", auth=auth, json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def upload(self, made: Made, name: str, *, auth: Any, version: str = "1.0") -> httpx.Response:
        """An upload as twine sends it."""
        return self.ask(
            "POST",
            "/legacy/",
            auth=auth,
            data=form(made, name, version),
            files={"content": (made.filename, made.content)},
        )

    def publish(self, name: str, *, auth: Any = ADMIN) -> Made:
        """A wheel of a project."""
        made = make_wheel(name, "1.0")
        answer = self.upload(made, name, auth=auth)
        assert answer.status_code == 200, answer.text
        return made

    def access(self, work: Callable[[SqlAccess], Awaitable[T]]) -> T:
        """Do something with the users, as another process."""

        async def run() -> T:
            async with connect(self.users, CHEAP) as access:
                return await work(access)

        return asyncio.run(run())

    def ledger(self, work: Callable[[Ledger], Awaitable[T]]) -> T:
        """Do something with the ledger, as another process."""
        return self.access(lambda access: work(access.ledger))

    def user(self, name: str, *, admin: bool = False) -> tuple[str, str]:
        """Somebody with a password; what to log in with."""
        self.access(lambda access: access.add_user(name, PASSWORD, admin=admin))
        return name, PASSWORD

    def trail(self, after: int = 0, **equal: str) -> list[Entry]:
        """The audit trail."""

        async def read(ledger: Ledger) -> list[Entry]:
            return [e async for e in ledger.trail.entries(after=after, limit=None, **equal)]

        return self.ledger(read)


@contextmanager
def site(folder: Path, **settings: Any) -> Iterator[Site]:
    """A service with settings of its own; the caches of users and files are in ``folder``."""
    users = f"sqlite+aiosqlite:///{folder}/access.db"
    chosen = {
        "storage": "memory:",
        "cache": "memory:",
        "access": users,
        "spool": folder / "spool",
        "admin_password": SecretStr(ADMIN[1]),
        "inspectors": 1,
        **settings,
    }
    with serving_ready(create_app(Settings(**chosen))) as served, httpx.Client(timeout=60) as http:
        yield Site(served.url, users, http, chosen["spool"])
