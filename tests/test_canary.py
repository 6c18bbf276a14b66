"""A secret that shows up is found, and the service shows none."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from app.access import tokens
from app.models import Permission
from app.models import Scope as TokenScope
from tests.canary import CANARY, left_behind, require_clean
from tests.cli.test_people import Line
from tests.e2e.server import ADMIN, Server, serve
from tests.routes.site import Site
from tests.serving import serving

SECRET = "a canary of four words"
SIGNING = "the key of the signs, more than 256 bits of it"
CLIENT = "what the provider knows us by"
NOTICES = "what-notices-of-the-bucket-carry"
SCRAPING = "canary who scrapes numbers"
HOOK = "canary-in-a-webhook"


def token() -> str:
    """A token's text."""
    scope = TokenScope(permissions=frozenset({Permission.READ}), projects={"*": None})
    now = datetime.now(UTC)
    return tokens.make(tokens.USER, scope=scope, now=now, lifetime=timedelta(days=1))[1]


@pytest.mark.parametrize("way", ["answer", "header", "log", "another's"])
def test_what_a_service_shows_is_found(way: str) -> None:
    """The password of a request in an answer or in the log, and whoever's token in either."""
    logger = logging.getLogger("app.leaky")

    async def leaky(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        sent = dict(scope["headers"])[b"authorization"].partition(b" ")[2]
        password = base64.b64decode(sent).partition(b":")[2]
        if way == "log":
            logger.warning("who is %s?", password.decode())
        headers = [(b"x-who", password)] if way == "header" else []
        body = {"answer": password, "another's": token().encode()}.get(way, b"")
        length = (b"content-length", b"%d" % len(body))
        start = {"type": "http.response.start", "status": 200, "headers": [length, *headers]}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    basic = base64.b64encode(f"somebody:{SECRET}".encode()).decode()
    with serving(leaky, lifespan="off") as served:
        assert served.ask("/", f"Authorization: Basic {basic}").status == 200
    with pytest.raises(AssertionError, match=r"canary of four|pypi-ppcu_"):
        CANARY.raise_leaks()


@pytest.fixture
def passing() -> Iterator[Path]:
    """A folder that is gone when the run looks at what its tests left."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def test_what_is_left_behind_is_found(passing: Path) -> None:
    """A token in a log, an export or a database; hashes are what databases are for."""
    hashed = "$argon2id$v=19$m=19456,t=2,p=1$abc"
    for name, content in (
        ("server.log", f"GET / {token()}"),
        ("trail.jsonl", f'{{"after": "{hashed}"}}'),
        ("access.db", token()),
        ("hashes.db", hashed),
        ("fine.log", "pypi-ppcu_"),
    ):
        (passing / name).write_text(content)
    found = {Path(line.partition(" has ")[0]).name for line in left_behind(passing)}
    assert found == {"server.log", "trail.jsonl", "access.db"}
    with pytest.raises(AssertionError):
        require_clean(f"no, not {SECRET}!", SECRET)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A process with a secret in every setting that takes one, which logs all it can."""
    variables = {
        "PYPICLOUD_LOG_LEVEL": "debug",
        "PYPICLOUD_SIGNUP_KEY": SIGNING,
        "PYPICLOUD_NOTIFICATIONS__SECRET": NOTICES,
        "PYPICLOUD_SSO__ISSUER": "https://127.0.0.1:9/",
        "PYPICLOUD_SSO__CLIENT_ID": "us",
        "PYPICLOUD_SSO__CLIENT_SECRET": CLIENT,
        "PYPICLOUD_SSO__CREATE_USERS": "true",
        "PYPICLOUD_LIMITS__LOGINS": "0",
        "PYPICLOUD_LOG_FORMAT": "json",
        "PYPICLOUD_METRICS__TOKEN": SCRAPING,
        "PYPICLOUD_WEBHOOKS__URL": f"http://127.0.0.1:9/{HOOK}",
        "PYPICLOUD_WEBHOOKS__SECRET": HOOK,
    }
    with serve(tmp_path, read="authenticated", variables=variables) as running:
        yield running


def test_the_service_shows_no_secret(server: Server) -> None:
    """Whatever is done with passwords, tokens, cookies and keys: in no log, page, error, export."""
    admin = (ADMIN.username, ADMIN.password)
    users = f"sqlite+aiosqlite:///{server.folder}/access.db"
    http = httpx.Client(trust_env=False, timeout=60)
    place = Site(server.url, users, http, server.folder / "spool")
    place.ask("PUT", "/api/v1/users/alice", auth=admin, json={"password": SECRET})
    made = place.token(auth=("alice", SECRET), permissions=["read", "upload"], creates=True)
    place.publish("shown", auth=admin)
    invited = place.ask(
        "POST", "/api/v1/registrations/tokens", auth=admin, json={"name": "guest"}
    ).json()["token"]
    form = {"username": "alice", "password": SECRET}
    own = {"Origin": place.url}
    cookie = place.ask("POST", "/login", data=form, headers=own).headers["set-cookie"]
    cookie = cookie.partition(";")[0]
    secrets = [SECRET, ADMIN.password, made["token"], invited, SIGNING, CLIENT, NOTICES]
    secrets += [SCRAPING, HOOK]
    secrets += [cookie.partition("=")[2]]
    shown: list[str] = []

    def see(method: str, path: str, **more: object) -> None:
        answer = place.ask(method, path, **more)
        kept = {k: v for k, v in answer.headers.items() if k != "set-cookie"}
        shown.append(f"{method} {path}\n{kept}\n{answer.text}")

    for secret in secrets:  # wherever somebody may paste one
        see("GET", "/simple/", auth=(secret, "x"))
        see("GET", "/simple/", auth=("alice", f"{secret}x"))
        see("GET", "/simple/", headers={"Authorization": f"Bearer {secret}"})
        see("GET", "/simple/", headers={"Cookie": f"pypicloud={secret}", "User-Agent": "tests"})
        see("POST", "/login", data={"username": secret, "password": secret}, headers=own)
        see("POST", "/legacy/", auth=("alice", secret), data={":action": secret})
        see("POST", "/api/v1/registrations", json={"name": "x", "password": secret, "token": "x"})
        see("POST", "/api/v1/users", json={"password": secret}, auth=admin)
        see("PUT", "/api/v1/users/bob", json={"password": [secret]}, auth=admin)
        see("POST", "/_/oidc/mint-token", json={"token": secret})
        see("POST", "/api/v1/tokens/leaked", content="nothing")
    paths = place.ask("GET", "/openapi.json").json()["paths"]
    values = {"project": "shown", "version": "1.0", "name": "alice", "principal": "user:alice"}
    for path in [*paths, "/", "/login", "/account", "/openapi.json"]:
        where = path
        for name in ("project", "version", "name", "principal", "filename", "id", "user"):
            where = where.replace(f"{{{name}}}", values.get(name, "x"))
        for auth in (None, admin, ("alice", SECRET), made["token"]):
            see("GET", where, auth=auth)
        see("GET", where, headers={"Cookie": cookie})
    see("GET", "/api/v1/audit", auth=admin, headers={"Accept": "application/x-ndjson"})
    place.http.close()
    assert "GET /simple/" in server.log
    for text in (*shown, server.log):
        require_clean(text, *secrets)
    line = Line(server.folder)
    exported = line.done("access", "export")
    assert '"alice"' in exported
    assert not [secret for secret in secrets if secret in exported]
