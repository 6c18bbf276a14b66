"""Every route, asked by everybody: the authorisation matrix.

``ROUTES`` says which right a route asks for, ``RIGHTS`` who has it. A route without a row, and
a row without a route, fail.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from ulid import ULID

import app.routes
from app.access.tokens import make
from app.models import Permission, Scope
from tests.factories import form, make_wheel
from tests.routes.site import ADMIN, PASSWORD, Site, site

PROJECT, OTHER = "guarded", "elsewhere"
WHEEL = make_wheel(PROJECT, "1.0")

BUILD = {
    "repository": "octo/spam",
    "job_workflow_ref": "octo/spam/.github/workflows/release.yml@refs/heads/main",
    "ref": "refs/heads/main",
    "sha": "f" * 40,
}
"""What a build's identity token said."""
READS_FILES = ("/files", "/integrity", "/api/package")
WHO = (
    "nobody", "reader", "uploader", "stranger", "manager", "admin",
    "t-read", "t-upload", "t-other", "t-admin", "disabled", "deleted", "minted",
    "t-manage", "t-fetch", "t-creates", "t-pattern", "t-near", "t-far", "creator",
)  # fmt: skip
"""The anonymous; users with rights on the project, with rights on another one alone, with all;
tokens of somebody who may read, upload and manage (to read, to upload, for another project) and
of an admin; users who are no more; and what a trusted publisher of the project minted.

Then more tokens of that somebody: to manage, to have files fetched, to upload names that are free
too, for all projects of a pattern, to read from here and from elsewhere alone; and themselves."""
RIGHTS = {
    #          no rd up st ma ad tr tu to ta di de mi tm tf tc tp tn tx cr
    "open":   ". .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .",
    "page":   "F F  F  F  F  F  F  F  F  F  F  F  F  F  F  F  F  F  F  F",
    "asked":  ". .  .  .  .  .  .  .  .  .  A  A  .  .  .  .  .  .  F  .",
    "list":   "A .  .  .  .  .  .  .  .  .  A  A  .  .  .  .  .  .  F  .",
    "known":  "A .  .  .  .  .  .  .  .  .  A  A  .  .  .  .  .  .  F  .",
    "user":   "A .  .  .  .  .  .  .  .  .  A  A  F  .  .  .  .  .  F  .",
    "maker":  "A .  .  .  .  .  .  F  F  .  A  A  F  F  F  F  .  F  F  .",
    "read":   "A .  .  F  .  .  .  F  F  .  A  A  F  F  F  F  .  .  F  .",
    "upload": "A F  .  F  F  .  F  .  F  .  A  A  .  F  F  .  .  F  F  .",
    "claim":  "A F  F  F  F  .  F  F  F  F  A  A  F  F  F  .  F  F  F  .",
    "manage": "A F  F  F  .  .  F  F  F  .  A  A  F  .  F  F  .  F  F  .",
    "admin":  "A F  F  F  F  .  F  F  F  .  A  A  F  F  F  F  F  F  F  F",
}  # fmt: skip
"""``A``: 401, ``F``: 403, a dot: neither. A form of the web pages is refused without its page."""
ROUTES = {
    "GET /": "asked",
    "GET /setup": "asked",
    "GET /search": "list",
    "GET /project/{project}": "open",
    "GET /project/{project}/": "read",
    "GET /project/{project}/releases": "read",
    "GET /project/{project}/{version}": "open",
    "GET /project/{project}/{version}/": "read",
    "GET /project/{project}/{version}/description": "read",
    "GET /project/{project}/{version}/entry-points": "read",
    "GET /project/{project}/inside/{filename}": "read",
    "GET /project/{project}/compare": "asked",
    "GET /project/{project}/manage": "open",
    "POST /project/{project}/manage": "open",
    "GET /upload": "open",
    "GET /admin": "open",
    "POST /admin": "open",
    "GET /admin/audit": "open",
    "GET /admin/upstreams": "open",
    "GET /admin/rights": "open",
    "GET /admin/tokens": "open",
    "GET /admin/disk": "open",
    "GET /admin/changes": "open",
    "GET /admin/reindex/events": "open",
    "POST /admin/check": "open",
    "POST /upload": "open",
    "GET /rss/updates.xml": "list",
    "GET /rss/packages.xml": "list",
    "GET /rss/project/{project}/releases.xml": "read",
    "GET /account": "open",
    "POST /account/tokens": "open",
    "POST /account/tokens/{id}/revoke": "open",
    "POST /account/sessions/{id}/end": "open",
    "POST /account/publishers": "open",
    "POST /account/publishers/{id}/remove": "open",
    "POST /account/password": "open",
    "GET /login": "open",
    "POST /login": "page",
    "POST /logout": "open",
    "GET /login/sso": "open",
    "GET /login/sso/callback": "asked",
    "GET /assets/{asset}": "open",
    "GET /docs": "open",
    "GET /docs/{asset}": "open",
    "GET /health": "open",
    "GET /health/live": "open",
    "GET /health/ready": "open",
    "GET /_/oidc/audience": "open",
    "POST /_/oidc/mint-token": "asked",
    "GET /.well-known/pytp": "open",
    "POST /api/v1/tokens/leaked": "asked",
    "OPTIONS /api/v1/notifications": "open",
    "GET /simple": "open",
    "GET /simple/{project}": "open",
    "GET /legacy/+simple/{project}": "open",
    "POST /api/v1/registrations": "asked",
    "GET /simple/": "list",
    "GET /api/v1/projects": "list",
    "GET /simple/{project}/": "read",
    "GET /legacy/+simple/{project}/": "read",
    "GET /files/{project}/{filename}": "read",
    "GET /files/{project}/at/{upstream}/{path:path}": "read",
    "GET /integrity/{project}/{version}/{filename}/provenance": "read",
    "GET /pypi/{project}/json": "read",
    "GET /pypi/{project}/json/": "read",
    "GET /pypi/{project}/{version}/json": "read",
    "GET /pypi/{project}/{version}/json/": "read",
    "GET /api/v1/projects/{project}": "read",
    "GET /api/v1/projects/{project}/downloads": "read",
    "GET /api/package/": "list",
    "GET /api/package": "list",
    "GET /api/package/{project}/": "read",
    "GET /api/package/{project}": "read",
    "GET /api/package/{project}/{filename}": "read",
    "POST /api/package/{project}/{filename}": "upload",
    "DELETE /api/package/{project}/{filename}": "manage",
    "GET /pypi/": "open",
    "GET /pypi": "open",
    "GET /pypi/{project}/": "open",
    "GET /pypi/{project}": "open",
    "GET /simple/{project}/json": "open",
    "GET /simple/{project}/json/": "open",
    "GET /{project}/json": "open",
    "GET /{project}/json/": "open",
    "GET /{project}/": "read",
    "GET /packages/": "list",
    "GET /packages": "list",
    "GET /acct/login": "open",
    "PUT /api/user/{name}": "asked",
    "POST /api/user/password": "known",
    "POST /admin/rebuild": "admin",
    "GET /admin/pending_users": "admin",
    "GET /admin/user": "admin",
    "GET /admin/user/{name}": "admin",
    "PUT /admin/user/{name}": "admin",
    "DELETE /admin/user/{name}": "admin",
    "POST /admin/user/{name}/approve": "admin",
    "POST /admin/user/{name}/admin": "admin",
    "PUT /admin/user/{name}/group/{group}": "admin",
    "DELETE /admin/user/{name}/group/{group}": "admin",
    "GET /admin/user/{name}/permissions": "admin",
    "GET /admin/group": "admin",
    "GET /admin/group/{group}": "admin",
    "PUT /admin/group/{group}": "admin",
    "DELETE /admin/group/{group}": "admin",
    "GET /admin/package/{project}": "admin",
    "PUT /admin/package/{project}/{kind}/{name}/{right}": "admin",
    "DELETE /admin/package/{project}/{kind}/{name}/{right}": "admin",
    "POST /admin/register": "admin",
    "GET /admin/token/{name}": "admin",
    "GET /admin/acl.json.gz": "admin",
    "POST /legacy/": "upload",
    "POST /legacy": "upload",
    "POST /": "upload",
    "POST /simple/": "upload",
    "POST /simple": "upload",
    "POST /pypi/": "upload",
    "POST /pypi": "upload",
    "PATCH /api/v1/projects/{project}": "manage",
    "DELETE /api/v1/projects/{project}": "manage",
    "POST /api/v1/projects/{project}/restore": "manage",
    "PATCH /api/v1/projects/{project}/releases/{version}": "manage",
    "POST /api/v1/projects/{project}/releases/{version}/restore": "manage",
    "PATCH /api/v1/projects/{project}/files/{filename}": "manage",
    "DELETE /api/v1/projects/{project}/files/{filename}": "manage",
    "POST /api/v1/projects/{project}/files/{filename}/restore": "manage",
    "GET /api/v1/projects/{project}/grants": "manage",
    "GET /api/v1/projects/{project}/grants/{principal}": "manage",
    "PUT /api/v1/projects/{project}/grants/{principal}": "manage",
    "DELETE /api/v1/projects/{project}/grants/{principal}": "manage",
    "GET /api/v1/projects/{project}/publishers": "manage",
    "POST /api/v1/projects/{project}/publishers": "manage",
    "DELETE /api/v1/projects/{project}/publishers/{id}": "manage",
    "GET /api/v1/account": "known",
    "PUT /api/v1/account/password": "known",
    "GET /api/v1/tokens": "user",
    "POST /api/v1/tokens": "maker",
    "DELETE /api/v1/tokens/{id}": "known",
    "POST /api/v1/tokens/{id}/rotate": "user",
    "GET /api/v1/notifications": "admin",
    "POST /api/v1/notifications": "admin",
    "GET /api/v1/reindex": "admin",
    "POST /api/v1/reindex": "admin",
    "GET /api/v1/changes": "admin",
    "GET /api/v1/upstreams": "admin",
    "GET /api/v1/downloads": "admin",
    "GET /api/v1/retention": "admin",
    "POST /api/v1/retention": "admin",
    "GET /metrics": "admin",
    "GET /api/v1/audit": "admin",
    "GET /api/v1/users": "admin",
    "GET /api/v1/users/{name}": "admin",
    "PUT /api/v1/users/{name}": "admin",
    "PATCH /api/v1/users/{name}": "admin",
    "DELETE /api/v1/users/{name}": "admin",
    "GET /api/v1/groups": "admin",
    "GET /api/v1/groups/{name}": "admin",
    "PUT /api/v1/groups/{name}": "admin",
    "DELETE /api/v1/groups/{name}": "admin",
    "PUT /api/v1/groups/{name}/members/{user}": "admin",
    "DELETE /api/v1/groups/{name}/members/{user}": "admin",
    "GET /api/v1/registrations": "admin",
    "PUT /api/v1/registrations": "admin",
    "POST /api/v1/registrations/tokens": "admin",
    "POST /api/v1/registrations/{name}/approve": "admin",
    "DELETE /api/v1/registrations/{name}": "admin",
}
"""The right that each route asks for. HEAD asks for what GET does."""
UPLOADS = [
    route for route, right in ROUTES.items() if right == "upload" and "{project}" not in route
]
FREE = ", a free name"
"""What the upload asks for of a name that nobody has yet."""
ASKED = {**ROUTES, **{f"{route}{FREE}": "claim" for route in UPLOADS}}


def routes() -> Iterator[tuple[str, str]]:
    """Method and path of every route there is."""
    for module in pkgutil.iter_modules(app.routes.__path__):
        router = getattr(importlib.import_module(f"app.routes.{module.name}"), "router", None)
        if isinstance(router, APIRouter):
            for route in router.routes:
                for method in getattr(route, "methods", ()):
                    yield method, getattr(route, "path", "")


def test_every_route_has_a_row() -> None:
    """A new door is a decision about who may pass."""
    found = {f"{'GET' if method == 'HEAD' else method} {path}" for method, path in routes()}
    assert found == ROUTES.keys()
    assert all(len(cells.split()) == len(WHO) for cells in RIGHTS.values())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service with a project for some; by default nobody reads, and one may claim names."""
    limits = {"logins": 0, "all_logins": 0, "tokens": 0, "mints": 0, "searches": 0}
    folder = tmp_path_factory.mktemp("matrix")
    creators = frozenset({"user:everything"})
    with site(folder, default_read=frozenset(), default_write=creators, limits=limits) as running:
        running.publish(PROJECT)
        running.publish(OTHER)
        yield running


@pytest.fixture(scope="module")
def credentials(place: Site) -> dict[str, Any]:
    """How each of them says who they are."""
    rights = {
        "reader": ["read"],
        "uploader": ["read", "upload"],
        "manager": ["read", "manage"],
        "everything": ["read", "upload", "manage"],
        "disabled": ["read", "upload", "manage"],
        "deleted": ["read", "upload", "manage"],
    }
    for name, permissions in rights.items():
        place.user(name)
        _grant(place, PROJECT, name, permissions)
    place.user("stranger")
    _grant(place, OTHER, "stranger", ["read", "upload", "manage"])
    owner = ("everything", PASSWORD)
    every = ["read", "upload", "manage"]
    made: dict[str, Any] = {name: (name, PASSWORD) for name in (*rights, "stranger")}
    made |= {
        "nobody": None,
        "admin": ADMIN,
        "t-read": place.token(owner, permissions=["read"], projects=[PROJECT])["token"],
        "t-upload": place.token(owner, permissions=["upload"], projects=[PROJECT])["token"],
        "t-other": place.token(owner, permissions=every, projects=[OTHER])["token"],
        "t-admin": place.token(ADMIN, permissions=every, projects=["*"], admin=True)["token"],
        "minted": _minted(place),
        "creator": owner,
    }
    scopes: dict[str, dict[str, Any]] = {
        "manage": {"permissions": ["manage"]},
        "fetch": {"permissions": ["fetch"]},
        "creates": {"permissions": ["upload"], "projects": ["*"], "creates": True},
        "pattern": {"permissions": every, "projects": [f"{PROJECT[:3]}*"]},
        "near": {"permissions": ["read"], "networks": ["127.0.0.0/8"]},
        "far": {"permissions": every, "networks": ["192.0.2.0/24"]},
    }
    for name, scope in scopes.items():
        made[f"t-{name}"] = place.token(owner, **{"projects": [PROJECT], **scope})["token"]
    place.access(lambda access: access.set_disabled("disabled", True))
    place.access(lambda access: access.delete_user("deleted"))
    return made


def _grant(place: Site, project: str, name: str, permissions: list[str]) -> None:
    path = f"/api/v1/projects/{project}/grants/user:{name}"
    body = {"permissions": permissions}
    place.ask("PUT", path, auth=ADMIN, json=body).raise_for_status()


def _minted(place: Site) -> str:
    """An upload token, as a trusted publisher of the project gets it."""
    body = {"provider": "github", "repository": "octo/spam", "workflow": "release.yml"}
    path = f"/api/v1/projects/{PROJECT}/publishers"
    answer = place.ask("POST", path, auth=ADMIN, json=body)
    assert answer.status_code == 201, answer.text
    id: str = answer.json()["id"]
    token, text = make(
        "o",
        scope=Scope(
            permissions=frozenset({Permission.UPLOAD}), projects={PROJECT: None}, sufficient=True
        ),
        now=datetime.now(UTC),
        lifetime=timedelta(minutes=15),
        publisher=id,
        claims={"publishers": {PROJECT: id}, "claims": BUILD},
    )
    place.ledger(lambda ledger: ledger.tokens.add(token))
    return text


def _ask(place: Site, method: str, path: str, auth: Any, project: str = PROJECT) -> httpx.Response:
    """What a route asks for, and nothing that would change anything but a project of its own."""
    present = path.startswith(READS_FILES) and method != "DELETE"
    where = path.replace(":path}", "}").format(
        project=PROJECT,
        upstream="upstream",
        path=WHEEL.filename,
        version="1.0",
        filename=WHEEL.filename if present else "no.whl",
        asset="none.css",
        name="ghost",
        user="ghost",
        group="ghosts",
        kind="user",
        right="read",
        principal="user:ghost",
        id="none",
    )
    more: dict[str, Any] = {}
    if ROUTES.get(f"{method} {path}") == "upload":
        wheel = WHEEL if project == PROJECT else make_wheel(project, "1.0")
        more["data"] = form(wheel, project, "1.0")
        more["files"] = {"content": (wheel.filename, wheel.content)}
    elif path == "/api/v1/tokens":
        more["json"] = {"name": "ci", "permissions": ["read"], "projects": [PROJECT]}
    elif path == "/api/v1/tokens/leaked":
        more["content"] = b"nothing"
    elif method in ("POST", "PUT", "PATCH"):
        more["json"] = {}
    return place.ask(method, where, auth=auth, **more)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("route", ASKED)
def test_who_may_pass(place: Site, credentials: dict[str, Any], route: str, who: str) -> None:
    """401 for whoever is not known, 403 for whoever is and has not the right, else neither."""
    method, path = route.removesuffix(FREE).split()
    wanted = RIGHTS[ASKED[route]].split()[WHO.index(who)]
    project = f"{who}-{ULID()}".lower() if route.endswith(FREE) else PROJECT
    answer = _ask(place, method, path, credentials[who], project)
    assert answer.status_code < 500, answer.text
    found = {401: "A", 403: "F"}.get(answer.status_code, ".")
    assert found == wanted, (answer.status_code, answer.text)
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Basic ")
    if method == "GET":
        head = _ask(place, "HEAD", path, credentials[who])
        assert head.status_code in (answer.status_code, 405)
    if route == "DELETE /api/v1/projects/{project}" and answer.is_success:
        place.ask("POST", f"/api/v1/projects/{PROJECT}/restore", auth=ADMIN).raise_for_status()
