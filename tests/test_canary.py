"""A secret that shows up is found, and the service shows none."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from pydantic import BaseModel, SecretStr
from starlette.types import Receive, Scope, Send

from app import config, errors
from app.access import tokens
from app.cli import masking
from app.config import Settings
from app.models import Permission
from app.models import Scope as TokenScope
from tests.canary import CANARY, Canary, left_behind, require_clean
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


def test_filling_is_no_secret() -> None:
    """What one test sends as one would be found wherever another fills a text with it."""
    canary = Canary()
    canary.note("x" * 43)
    canary.look(b"x" * 500, "a long path")
    canary.raise_leaks()
    canary.note(SECRET)
    canary.look(f"{SECRET} and more".encode(), "a page")
    with pytest.raises(AssertionError, match="a page has"):
        canary.raise_leaks()


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


def secret_settings() -> list[tuple[str, ...]]:
    """The path of every setting that takes a secret."""
    return [path for path in config.fields() if "SecretStr" in str(_annotation(path))]


def _annotation(path: tuple[str, ...]) -> object:
    model: type[BaseModel] = Settings
    for name in path[:-1]:
        inner = model.model_fields[name].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    return model.model_fields[path[-1]].annotation


def test_all_that_is_called_a_secret_is_one() -> None:
    """What is named like a secret has the type of one, so it cannot be shown by mistake."""
    named = re.compile(r"password|secret|token|private_key|account_key|signup_key|connection_str")
    harmless = {("access", "password_memory"), ("access", "password_passes")}
    found = {path for path in config.fields() if named.search(path[-1])} - harmless
    plain = {
        path
        for path in found - set(secret_settings())
        if _annotation(path) in (str, str | None) or "str" in str(_annotation(path))
    }
    assert not plain
    assert len(secret_settings()) > 15


@pytest.mark.parametrize("path", secret_settings(), ids="__".join)
def test_no_secret_setting_is_shown(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither among the settings, nor in what a program prints of them, nor in an error."""
    settings, *group = Settings(), *path[:-1]
    held: object = SecretStr(SECRET)
    for name in group:
        held = getattr(settings, name).model_copy(update={path[-1]: held})
    settings = settings.model_copy(update={path[0]: held})
    every = masking.shown(settings)
    assert every[config.variable(*path)] == masking.HIDDEN
    assert SECRET not in f"{every} {settings!r} {held!r} {settings.model_dump_json()}"
    monkeypatch.setenv(config.variable(*path), SECRET)
    monkeypatch.setenv(config.variable("port"), "no port")
    with pytest.raises(errors.Misconfigured) as wrong:
        config.load()
    assert SECRET not in str(wrong.value)
