"""Services that fall back on an upstream, and what their pages say."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from app.access.ledger import Entry
from app.config import Settings
from app.main import create_app
from tests.conftest import ADMIN
from tests.factories import Made
from tests.routes.site import Site
from tests.servers.upstream import Upstream
from tests.serving import serving_ready

AGAIN = 0.3
"""Seconds after which a page that is stale at once is looked at anew."""
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


@contextmanager
def site(folder: Path, upstream: Upstream, policy: str, /, **settings: Any) -> Iterator[Site]:
    """A service on files below ``folder``, where everybody may read and fetch."""
    chosen: dict[str, Any] = {
        "storage": f"file:{folder}/packages",
        "cache": "memory:",
        "access": f"sqlite+aiosqlite:///{folder}/access.db",
        "spool": folder / "spool",
        "admin_password": SecretStr(ADMIN[1]),
        "inspectors": 1,
        "default_read": frozenset({"everyone"}),
        "default_fetch": frozenset({"everyone"}),
        "fallback": policy,
        "upstream": upstream.simple,
        "delivery": "stream",
    }
    made = Settings(**(chosen | settings))
    with (
        serving_ready(create_app(made)) as served,
        httpx.Client(trust_env=False, verify=False, timeout=60) as http,  # loopback
    ):
        yield Site(served.url, str(made.access), http, made.spool)


def ask_alone(url: str, *, timeout: float = 60) -> httpx.Response:
    """Ask over a connection of its own; without the authorities, which take long to read."""
    return httpx.get(url, headers=JSON, trust_env=False, verify=False, timeout=timeout)


def listed(site: Site, name: str, auth: Any = None) -> dict[str, Any]:
    """The files of a project's page, by name."""
    answer = site.ask("GET", f"/simple/{name}/", auth=auth, headers=JSON)
    assert answer.status_code == 200, (answer.status_code, answer.text)
    return {file["filename"]: file for file in answer.json()["files"]}


def fetched(site: Site, name: str, made: Made, auth: Any = None) -> None:
    """The file comes, with the right bytes."""
    answer = site.ask("GET", f"/files/{name}/{made.filename}", auth=auth)
    assert answer.status_code == 200, (answer.status_code, answer.text)
    assert hashlib.sha256(answer.content).hexdigest() == made.sha256


def trail(site: Site, action: str, name: str) -> list[Entry]:
    """The entries of the audit trail of one kind and project, which may come a little later."""
    deadline = time.monotonic() + 30
    while not (found := [one for one in site.trail(action=action) if _is_of(one, name)]):
        assert time.monotonic() < deadline, f"no {action}"
        time.sleep(0.2)
    return found


def _is_of(entry: Entry, name: str) -> bool:
    return (entry.target or "").partition(" ")[2].partition("/")[0] == name


def hashed(answer: httpx.Response) -> str:
    """The sha256 of a body as it comes: many of large ones are more than a machine has room for."""
    digest = hashlib.sha256()
    for chunk in answer.iter_bytes():
        digest.update(chunk)
    return digest.hexdigest()
