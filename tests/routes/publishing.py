"""Trusted publishing under test: a replica, its admin, and builds that publish to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from app.access.oidc.options import IssuerOptions
from app.config import Settings
from app.main import create_app
from tests.conftest import ADMIN
from tests.factories import Made, form, make_wheel
from tests.servers.issuer import Issuer
from tests.serving import serving_ready

AUDIENCE = "index.example"
PUBLISHER = {"provider": "github", "repository": "octo/spam", "workflow": "release.yml"}
MINT = "/_/oidc/mint-token"


class Index:
    """One replica, and its admin."""

    def __init__(self, anybody: httpx.Client, admin: httpx.Client, issuer: Issuer) -> None:
        self.http, self.admin, self.issuer = anybody, admin, issuer

    def register(self, project: str = "spam", **changed: Any) -> httpx.Response:
        """Register the publisher of ``octo/spam``."""
        path = f"/api/v1/projects/{project}/publishers"
        return self.admin.post(path, json={**PUBLISHER, **changed})

    def identity(self, **changed: Any) -> str:
        """A build's identity token."""
        return self.issuer.sign(self.issuer.claims(**{**self.issuer.build, **changed}))

    def mint(self, token: str | None = None) -> httpx.Response:
        """Ask for an upload token."""
        return self.http.post(MINT, json={"token": token or self.identity()})

    def minted(self, **changed: Any) -> str:
        """An upload token."""
        answer = self.mint(self.identity(**changed))
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["token"]
        return token

    def upload(self, token: str, made: Made | None = None, **fields: str) -> httpx.Response:
        """Upload a wheel of ``spam`` with an upload token."""
        made = made or make_wheel("spam")
        name, version, *_ = made.filename.split("-")
        return self.http.post(
            "/legacy/",
            data=form(made, name, version, **fields),
            files={"content": (made.filename, made.content)},
            auth=("__token__", token),
        )


def made_settings(folder: Path, issuer: Issuer, **changed: Any) -> Settings:
    """Settings of a replica on folders that others may share."""
    return Settings(
        **{
            "storage": f"file:{folder}/packages",
            "cache": f"sqlite+aiosqlite:///{folder}/cache.db",
            "access": f"sqlite+aiosqlite:///{folder}/access.db",
            "spool": folder / "spool",
            "admin_password": SecretStr(ADMIN[1]),
            "inspectors": 1,
            "oidc_issuers": (IssuerOptions(issuer=issuer.url, provider="github"),),
            "oidc_audience": AUDIENCE,
            **changed,
        }
    )


@contextmanager
def running(settings: Settings, issuer: Issuer) -> Iterator[Index]:
    """A replica while it serves."""
    with (
        serving_ready(create_app(settings)) as served,
        httpx.Client(base_url=served.url, timeout=60) as anybody,
        httpx.Client(base_url=served.url, timeout=60, auth=ADMIN) as admin,
    ):
        yield Index(anybody, admin, issuer)
