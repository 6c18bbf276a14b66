"""Scripts of PyPICloud 1 go on: users, groups and permissions at ``/admin/`` and ``/api/user/``."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.routes.site import ADMIN, PASSWORD, Site, site

OTHER = "quite another passphrase"


@pytest.fixture
def former(tmp_path: Path) -> Iterator[Site]:
    """A service with one project and sign-up tokens."""
    with site(tmp_path, signup_key=SecretStr("k" * 40)) as running:
        running.publish("demo")
        yield running


def done(place: Site, method: str, path: str, **more: Any) -> Any:
    """What the admin is answered, which is a success."""
    answer = place.ask(method, path, auth=ADMIN, **more)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json() if answer.content else None


def test_a_user_from_beginning_to_end(former: Site) -> None:
    """Made by a form or by JSON, an admin or not, in groups or not, and deleted twice."""
    done(former, "PUT", "/admin/user/ada", data={"password": PASSWORD})
    done(former, "PUT", "/admin/user/bob", json={"password": PASSWORD})
    assert (
        former.ask("PUT", "/admin/user/bob", auth=ADMIN, json={"password": PASSWORD}).status_code
        == 409
    )
    assert {"username": "ada", "admin": False} in done(former, "GET", "/admin/user")
    for value, expected in (("true", True), ("false", False)):
        done(former, "POST", "/admin/user/ada/admin", data={"admin": value})
        assert done(former, "GET", "/admin/user/ada")["admin"] is expected
    done(former, "PUT", "/admin/group/devs")
    done(former, "PUT", "/admin/user/ada/group/devs")
    assert done(former, "GET", "/admin/user/ada")["groups"] == ["devs"]
    assert done(former, "GET", "/admin/group") == ["devs"]
    assert done(former, "GET", "/admin/group/devs") == {"members": ["ada"], "packages": []}
    done(former, "DELETE", "/admin/user/ada/group/devs")
    done(former, "DELETE", "/admin/group/devs")
    for _ in range(2):
        done(former, "DELETE", "/admin/user/ada")
    assert done(former, "GET", "/admin/user/ada") is None
    assert {entry.action for entry in former.trail()} >= {"user.create", "user.delete"}


def test_permissions(former: Site) -> None:
    """One right is given beside the others and taken away again; both sides list it."""
    done(former, "PUT", "/admin/user/ada", data={"password": PASSWORD})
    for right in ("read", "write"):
        done(former, "PUT", f"/admin/package/Demo/user/ada/{right}")
    done(former, "PUT", "/admin/package/demo/group/everyone/read")
    assert done(former, "GET", "/admin/package/demo") == {
        "user": [{"username": "ada", "permissions": ["read", "write"]}],
        "group": [{"group": "everyone", "permissions": ["read"]}],
    }
    listed = done(former, "GET", "/admin/user/ada/permissions")
    assert listed == [{"package": "demo", "permissions": ["read", "write"]}]
    assert former.ask("GET", "/simple/demo/").status_code == 200
    done(former, "DELETE", "/admin/package/demo/user/ada/write")
    assert done(former, "GET", "/admin/package/demo")["user"][0]["permissions"] == ["read"]
    assert former.ask("PUT", "/admin/package/demo/user/ada/own", auth=ADMIN).status_code == 400


def test_registration(former: Site) -> None:
    """Closed it is refused; ``allow=false`` closes; who registers waits, and is never an admin."""
    body = {"password": PASSWORD}
    assert former.ask("PUT", "/api/user/eve", json=body).status_code == 403
    done(former, "POST", "/admin/register", data={"allow": "true"})
    assert former.ask("PUT", "/api/user/eve", json=body).status_code == 200
    assert done(former, "GET", "/admin/pending_users") == ["eve"]
    done(former, "POST", "/admin/user/eve/approve")
    assert done(former, "GET", "/admin/user/eve")["admin"] is False
    done(former, "POST", "/admin/register", data={"allow": "false"})
    assert former.ask("PUT", "/api/user/mallory", json=body).status_code == 403
    change = {"old_password": PASSWORD, "new_password": OTHER}
    eve = ("eve", PASSWORD)
    assert former.ask("POST", "/api/user/password", auth=eve, json=change).status_code == 200
    assert (
        former.ask("POST", "/api/user/password", auth=("eve", OTHER), json=change).status_code
        == 403
    )
    token = done(former, "GET", "/admin/token/zoe")
    assert token["token"]
    assert token["token_url"].endswith("/login")


def test_an_export(former: Site) -> None:
    """``acl.json.gz`` is what ``access import`` and ``ppc-import`` read."""
    former.user("ada")
    answer = former.ask("GET", "/admin/acl.json.gz", auth=ADMIN)
    document = json.loads(gzip.decompress(answer.content))
    assert {user["username"] for user in document["users"]} == {"admin", "ada"}


def test_nothing_is_changed_by_a_get(former: Site) -> None:
    """A rebuild is asked for by POST alone, and by admins alone."""
    for path in ("/admin/rebuild", "/admin/register", "/admin/user/ada/approve"):
        assert former.ask("GET", path, auth=ADMIN).status_code == 405
    done(former, "POST", "/admin/rebuild")
    assert former.ask("POST", "/admin/rebuild", auth=former.user("bob")).status_code == 403


@pytest.mark.parametrize(
    "more",
    [
        {"json": {}},
        {"json": {"password": 5}},
        {"json": ["password"]},
        {"content": b"\xff\xfe", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"{" * 5000, "headers": {"content-type": "application/json"}},
        {"content": b"x", "headers": {"content-type": "text/plain"}},
        {"params": {"password": PASSWORD}},
    ],
)
def test_parameters_that_cannot_be(former: Site, more: dict[str, Any]) -> None:
    """What is missing, malformed or in the URL is 400, and nobody is made."""
    assert former.ask("PUT", "/admin/user/ada", auth=ADMIN, **more).status_code == 400
    assert done(former, "GET", "/admin/user/ada") is None
