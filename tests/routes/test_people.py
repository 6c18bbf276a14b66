"""Users, groups, grants and registration over ``/api/v1``, on the whole service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.access.ledger import Ledger
from app.config import Settings
from app.main import create_app
from app.testing.access import HASH
from tests.conftest import ADMIN
from tests.factories import form, make_wheel
from tests.routes.site import site
from tests.serving import serving_ready

PASSWORD = "a fine long passphrase"
OTHER = "quite another passphrase"
KEY = "k" * 40


class Api:
    """Requests to one service."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(
        self, method: str, path: str, body: object = None, who: tuple[str, str] | None = ADMIN
    ) -> httpx.Response:
        """One request below ``/api/v1``."""
        return httpx.request(
            method, f"{self.url}/api/v1{path}", json=body, auth=who, timeout=60, trust_env=False
        )

    def done(self, method: str, path: str, body: object = None, **given: Any) -> Any:
        """What a request that succeeds is answered."""
        answer = self.ask(method, path, body, **given)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def code(self, method: str, path: str, body: object = None, **given: Any) -> int:
        """The status of the answer."""
        answer = self.ask(method, path, body, **given)
        if not answer.is_success:
            assert set(answer.json()) == {"code", "message"}
        return answer.status_code

    def actions(self) -> list[tuple[str, str]]:
        """What was recorded: actions and targets."""
        changes = self.done("GET", "/changes")["changes"]
        return [(change["action"], change["filename"]) for change in changes]

    def publish(self, name: str) -> None:
        """Upload a wheel, as the admin."""
        made = make_wheel(name, "1.0")
        httpx.post(
            f"{self.url}/legacy/",
            data=form(made, name, "1.0"),
            files={"content": (made.filename, made.content)},
            auth=ADMIN,
            timeout=60,
            trust_env=False,
        ).raise_for_status()

    def reads(self, name: str, who: tuple[str, str] | None) -> int:
        """What the page of a project is answered with."""
        page = httpx.get(f"{self.url}/simple/{name}/", auth=who, timeout=60, trust_env=False)
        return page.status_code


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    """A service whose users can be edited, with sign-up tokens."""
    chosen = settings.model_copy(update={"signup_key": SecretStr(KEY)})
    with serving_ready(create_app(chosen)) as served:
        yield Api(served.url)


@pytest.fixture
def written(settings: Settings, tmp_path: Path) -> Iterator[Api]:
    """A service whose users stand in a file."""
    file = tmp_path / "users.toml"
    file.write_text(f'admins = ["ada"]\n[users]\nada = "{HASH}"\n[groups]\nops = ["ada"]\n')
    update = {"access": f"config:{file}", "admin_password": None}
    with serving_ready(create_app(settings.model_copy(update=update))) as served:
        yield Api(served.url)


ADA = ("ada", "ada has a passphrase")


def test_a_user_from_beginning_to_end(api: Api) -> None:
    """Made, shown, changed, shut out, let in, deleted; each is recorded, and nobody else may."""
    user = {"name": "alice", "admin": False, "disabled": False, "pending": False, "groups": []}
    assert api.ask("PUT", "/users/Alice", {"password": PASSWORD}).status_code == 201
    assert api.done("GET", "/users/ALICE") == user
    alice = ("alice", PASSWORD)
    assert api.done("GET", "/account", who=alice)["principals"] == ["authenticated", "user:alice"]
    assert api.code("GET", "/users", who=alice) == 403
    assert api.code("GET", "/users", who=None) == 401
    assert api.code("GET", "/account", who=None) == 401
    assert api.ask("PUT", "/users/alice", {"password": OTHER, "admin": True}).status_code == 200
    assert api.code("GET", "/account", who=alice) == 401
    alice = ("alice", OTHER)
    assert len(api.done("GET", "/users", who=alice)["users"]) == 2
    api.done("PATCH", "/users/alice", {"admin": False, "disabled": True})
    assert api.code("GET", "/account", who=alice) == 401
    assert api.done("PATCH", "/users/alice", {"disabled": False}) == user
    assert api.code("GET", "/account", who=alice) == 200
    assert api.code("DELETE", "/users/alice") == 204
    assert api.code("GET", "/users/alice") == 404
    assert api.code("DELETE", "/users/alice") == 404
    assert [action for action, name in api.actions() if name == "alice"] == [
        "user.create",
        "user.password.change",
        "user.admin.grant",
        "user.admin.revoke",
        "user.disable",
        "user.enable",
        "user.delete",
    ]


def test_a_wrong_user_is_refused(api: Api) -> None:
    """Bad names and passwords are 400 and change nothing; no answer repeats a password."""
    for name, body in [
        ("alice", {}),
        ("alice", {"password": "short"}),
        ("a b", {"password": PASSWORD}),
        ("alice", {"password": PASSWORD, "admin": "perhaps"}),
        ("alice", {"password": PASSWORD, "root": True}),
        ("alice", {"password": "x" * 1025}),
    ]:
        answer = api.ask("PUT", f"/users/{name}", body)
        assert answer.status_code == 400
        assert PASSWORD not in answer.text
    assert api.code("PATCH", "/users/alice", {"admin": True}) == 404
    assert [user["name"] for user in api.done("GET", "/users")["users"]] == ["admin"]


def test_admins_do_not_take_their_own_rights_away(api: Api) -> None:
    """Nobody locks everybody out by mistake: of oneself, an admin changes the password alone."""
    assert api.code("PATCH", "/users/admin", {"admin": False}) == 403
    assert api.code("PATCH", "/users/admin", {"disabled": True}) == 403
    assert api.code("PUT", "/users/admin", {"admin": False}) == 403
    assert api.code("DELETE", "/users/ADMIN") == 403
    assert api.code("PATCH", "/users/admin", {"password": OTHER}) == 200
    assert api.code("GET", "/users", who=("admin", OTHER)) == 200


def test_ones_own_password_needs_the_old_one(api: Api) -> None:
    """Whoever is let in by a password still has to say it; then the old one is dead at once."""
    api.done("PUT", "/users/alice", {"password": PASSWORD})
    alice = ("alice", PASSWORD)
    change = {"old_password": OTHER, "new_password": OTHER}
    assert api.code("PUT", "/account/password", change, who=alice) == 403
    assert api.code("PUT", "/account/password", change, who=None) == 401
    change["old_password"] = PASSWORD
    short = {**change, "new_password": "short"}
    assert api.code("PUT", "/account/password", short, who=alice) == 400
    assert api.code("PUT", "/account/password", change, who=alice) == 204
    assert api.code("GET", "/account", who=alice) == 401
    assert api.code("GET", "/account", who=("alice", OTHER)) == 200


@pytest.mark.parametrize(
    "change",
    [{"password": OTHER}, {"disabled": True}, {"admin": True}],
    ids=["password", "disabled", "admin"],
)
def test_sessions_end_with_what_an_admin_changes(tmp_path: Path, change: dict[str, Any]) -> None:
    """Another password, another right or none at all: no session of the user is left."""
    with site(tmp_path) as place, httpx.Client(base_url=place.url, timeout=60) as browser:
        place.user("alice")
        sent = {"username": "alice", "password": PASSWORD}
        browser.post("/login", data=sent, headers={"Origin": place.url})
        assert browser.get("/account").status_code == 200
        answer = place.ask("PATCH", "/api/v1/users/alice", auth=ADMIN, json=change)
        assert answer.status_code == 200, answer.text
        assert place.ledger(_sessions_of_alice) == 0
        assert browser.get("/account").status_code == 303


async def _sessions_of_alice(ledger: Ledger) -> int:
    return len(await ledger.sessions.of("alice"))


def test_a_group_from_beginning_to_end(api: Api) -> None:
    """Made once, joined, left, deleted; its members have its principal with the next request."""
    api.done("PUT", "/users/alice", {"password": PASSWORD})
    alice = ("alice", PASSWORD)
    assert api.ask("PUT", "/groups/Web").status_code == 201
    assert api.ask("PUT", "/groups/web").status_code == 200
    joined = {"name": "web", "members": ["alice"]}
    assert api.done("PUT", "/groups/WEB/members/Alice") == joined
    assert api.done("GET", "/groups") == {"groups": [joined]}
    assert "group:web" in api.done("GET", "/account", who=alice)["principals"]
    assert api.done("GET", "/users/alice")["groups"] == ["web"]
    assert api.done("DELETE", "/groups/web/members/alice") == {"name": "web", "members": []}
    assert "group:web" not in api.done("GET", "/account", who=alice)["principals"]
    for path in ("/groups/ghosts", "/groups/ghosts/members/alice"):
        assert api.code("DELETE", path) == 404
    assert api.code("PUT", "/groups/web/members/ghost") == 404
    assert api.code("PUT", "/groups/everyone") == 400
    assert api.code("PUT", "/groups/other", who=alice) == 403
    assert api.code("DELETE", "/groups/web") == 204
    assert api.code("GET", "/groups/web") == 404
    assert api.done("GET", "/groups") == {"groups": []}
    assert [action for action, name in api.actions() if name == "web"] == [
        "group.create",
        "group.member.add",
        "group.member.remove",
        "group.delete",
    ]


def test_grants_decide_who_reads(api: Api) -> None:
    """A manager grants and takes away on the own project, however its name is spelled."""
    api.publish("holy-grail")
    api.publish("other")
    for name in ("alice", "bob"):
        api.done("PUT", f"/users/{name}", {"password": PASSWORD})
    alice, bob = ("alice", PASSWORD), ("bob", PASSWORD)
    assert api.reads("holy-grail", bob) == 200
    path = "/projects/Holy_Grail/grants"
    wanted = {"permissions": ["manage", "read"]}
    assert api.code("PUT", f"{path}/user:alice", wanted, who=alice) == 403
    assert api.code("PUT", f"{path}/user:alice", wanted, who=None) == 401
    line = {"principal": "user:alice", "permissions": ["manage", "read"]}
    assert api.done("PUT", f"{path}/user:Alice", wanted) == line
    assert (api.reads("holy-grail", alice), api.reads("holy-grail", bob)) == (200, 403)
    assert api.code("GET", path, who=bob) == 403
    assert api.done("PUT", f"{path}/user:bob", {"permissions": ["read"]}, who=alice)
    assert api.reads("holy-grail", bob) == 200
    assert api.done("GET", path, who=alice)["grants"] == [
        line,
        {"principal": "user:bob", "permissions": ["read"]},
    ]
    assert api.done("GET", f"{path}/everyone", who=alice)["permissions"] == []
    assert api.code("DELETE", f"{path}/user:bob", who=alice) == 204
    assert api.reads("holy-grail", bob) == 403
    for who in ("bob", "user:", "group:a b"):
        assert api.code("PUT", f"{path}/{who}", wanted) == 400
    for who in ("user:ghost", "group:ghosts"):
        assert api.code("PUT", f"{path}/{who}", wanted) == 404
    assert api.code("PUT", f"{path}/everyone", {"permissions": ["write"]}) == 400
    assert api.code("PUT", "/projects/other/grants/everyone", wanted, who=alice) == 403
    assert ("grant.set", "holy-grail user:alice") in api.actions()
    assert ("grant.delete", "holy-grail user:bob") in api.actions()


def test_an_admin_grants_on_a_name_that_is_free(api: Api) -> None:
    """The grant is there before the project, holds once it comes, and is nobody else's to make."""
    for name in ("alice", "bob"):
        api.done("PUT", f"/users/{name}", {"password": PASSWORD})
    path = "/projects/secret-plans/grants"
    wanted = {"permissions": ["read", "manage"]}
    assert api.code("PUT", f"{path}/user:alice", wanted, who=("bob", PASSWORD)) == 403
    api.done("PUT", f"{path}/user:alice", wanted)
    assert api.code("PUT", f"{path}/everyone", wanted, who=("alice", PASSWORD)) == 403
    api.publish("secret-plans")
    assert api.reads("secret-plans", ("alice", PASSWORD)) == 200
    assert api.reads("secret-plans", ("bob", PASSWORD)) == 403
    assert api.code("DELETE", f"{path}/user:alice", who=("alice", PASSWORD)) == 204
    assert api.reads("secret-plans", ("bob", PASSWORD)) == 200


def test_who_registers_waits_for_an_admin(api: Api) -> None:
    """Closed until opened; then pending, nobody, and never an admin, until approved or rejected."""
    alice = {"name": "Alice", "password": PASSWORD}
    login = ("alice", PASSWORD)
    assert api.done("GET", "/registrations") == {"open": False, "pending": []}
    assert api.code("POST", "/registrations", alice, who=None) == 403
    assert api.code("PUT", "/registrations", {"open": True}, who=None) == 401
    assert api.code("PUT", "/registrations", {"open": "false"}) == 200
    assert api.done("GET", "/registrations")["open"] is False
    api.done("PUT", "/registrations", {"open": True})
    made = api.ask("POST", "/registrations", alice, who=None)
    assert (made.status_code, made.json()) == (201, {"name": "alice", "pending": True})
    assert api.code("POST", "/registrations", alice, who=None) == 409
    assert api.code("POST", "/registrations", {**alice, "admin": True}, who=None) == 400
    assert api.code("POST", "/registrations", {**alice, "name": "admin"}, who=None) == 409
    bob = {"name": "bob", "password": PASSWORD}
    assert api.code("POST", "/registrations", {**bob, "password": "short"}, who=None) == 400
    api.done("POST", "/registrations", bob, who=None)
    assert api.code("GET", "/account", who=login) == 401
    assert api.done("GET", "/registrations")["pending"] == ["alice", "bob"]
    assert api.code("POST", "/registrations/alice/approve", who=None) == 401
    api.done("POST", "/registrations/ALICE/approve")
    assert api.done("GET", "/account", who=login)["admin"] is False
    assert api.code("DELETE", "/registrations/alice") == 404
    assert api.code("DELETE", "/registrations/bob") == 204
    assert api.code("GET", "/users/bob") == 404
    assert {"user.register", "user.approve", "user.reject"} <= {one for one, _ in api.actions()}


def test_a_sign_up_token_works_once(api: Api) -> None:
    """It lets in at once whom it names, though registration is closed, and nobody after that."""
    assert api.code("POST", "/registrations/tokens", {"name": "alice"}, who=None) == 401
    made = api.done("POST", "/registrations/tokens", {"name": "Alice", "expires_in": 3600})
    wanted = {"name": "alice", "password": PASSWORD, "token": made["token"]}
    forged = made["token"][:-1] + ("0" if made["token"][-1] != "0" else "1")
    for wrong in (
        {**wanted, "name": "bob"},
        {**wanted, "token": forged},
        {**wanted, "token": ""},
        {**wanted, "token": "signup-é.x"},
        {**wanted, "token": made["token"].removeprefix("signup-")},
    ):
        assert api.code("POST", "/registrations", wrong, who=None) == 403
    assert api.code("POST", "/registrations", {**wanted, "password": "x"}, who=None) == 400
    registered = api.done("POST", "/registrations", wanted, who=None)
    assert registered == {"name": "alice", "pending": False}
    assert api.done("GET", "/account", who=("alice", PASSWORD))["admin"] is False
    assert api.code("POST", "/registrations", wanted, who=None) == 409
    assert api.code("POST", "/registrations/tokens", {"name": "alice"}) == 409
    assert api.code("DELETE", "/users/alice") == 204
    assert api.code("POST", "/registrations", wanted, who=None) == 403
    assert api.code("GET", "/users/alice") == 404
    assert made["token"] not in str(api.done("GET", "/changes"))


def test_users_in_a_file_are_read_and_not_edited(written: Api) -> None:
    """What a backend cannot change is refused with 409 and where it is changed; never a 500."""
    assert written.done("GET", "/users", who=ADA)["users"][0]["groups"] == ["ops"]
    assert written.done("GET", "/groups/ops", who=ADA)["members"] == ["ada"]
    assert written.done("GET", "/account", who=ADA)["admin"] is True
    password = {"old_password": ADA[1], "new_password": OTHER}
    for method, path, body in [
        ("PUT", "/users/bob", {"password": PASSWORD}),
        ("PATCH", "/users/ada", {"admin": True}),
        ("DELETE", "/users/bob", None),
        ("PUT", "/groups/web", None),
        ("DELETE", "/groups/ops", None),
        ("PUT", "/groups/ops/members/ada", None),
        ("DELETE", "/groups/ops/members/ada", None),
        ("PUT", "/projects/x/grants/everyone", {"permissions": ["read"]}),
        ("DELETE", "/projects/x/grants/everyone", None),
        ("GET", "/registrations", None),
        ("PUT", "/registrations", {"open": True}),
        ("POST", "/registrations", {"name": "bob", "password": PASSWORD}),
        ("POST", "/registrations/tokens", {"name": "bob"}),
        ("POST", "/registrations/bob/approve", None),
        ("DELETE", "/registrations/bob", None),
        ("PUT", "/account/password", password),
    ]:
        answer = written.ask(method, path, body, who=ADA)
        assert (method, path, answer.status_code) == (method, path, 409)
        assert "the file 'users.toml' and are changed there" in answer.json()["message"]
    assert written.code("PUT", "/users/bob", {"password": PASSWORD}, who=None) == 401


def test_registrations_are_limited(settings: Settings) -> None:
    """So many an hour from one address, refused ones too; then 429, in whole seconds."""
    limits = settings.limits.model_copy(update={"registrations": 3})
    with serving_ready(create_app(settings.model_copy(update={"limits": limits}))) as served:
        api = Api(served.url)
        alice = {"name": "alice", "password": PASSWORD}
        guess = {**alice, "token": "signup-guessed"}
        for wanted in (alice, guess, alice):
            assert api.code("POST", "/registrations", wanted, who=None) == 403
        refused = api.ask("POST", "/registrations", alice, who=None)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")


def test_guesses_at_the_old_password_are_limited(api: Api) -> None:
    """Whoever holds a session or a token of another's tries no more passwords than at a login."""
    api.done("PUT", "/users/alice", {"password": PASSWORD})
    login = ("alice", PASSWORD)
    for number in range(10):
        wrong = {"old_password": f"a guess {number}", "new_password": OTHER}
        assert api.code("PUT", "/account/password", wrong, who=login) == 403
    last = {"old_password": "one guess more", "new_password": OTHER}
    refused = api.ask("PUT", "/account/password", last, who=login)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "300")
    assert api.code("GET", "/account", who=("alice", OTHER)) in (401, 429)
