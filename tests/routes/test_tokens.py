"""API tokens over HTTP: made, used, narrowed, ended."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.access import tokens
from app.access.ledger import Ledger, Token
from app.models import Permission, Scope
from tests.factories import form, make_wheel
from tests.routes.site import ADMIN, Bearer, Site, site
from tests.routes.test_web_acts import browsing

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service where whoever is known may read and upload, with some projects."""
    folder = tmp_path_factory.mktemp("site")
    with site(folder, default_write=frozenset({"authenticated"})) as running:
        for name in ("flask", "django", "corp-a"):
            running.publish(name)
        running.user("alice")
        yield running


ALICE = ("alice", "a fine long passphrase")


def owned(place: Site, **facts: Any) -> tuple[Token, str]:
    """A token of alice's, put into the ledger with other facts than the API would give it."""

    async def add(ledger: Ledger) -> tuple[Token, str]:
        scope = Scope(permissions=frozenset({Permission.READ}), projects={"*": None})
        token, text = tokens.make(
            "r",
            scope=scope,
            now=facts.pop("created", datetime.now(UTC)),
            lifetime=facts.pop("lifetime", 90 * DAY),
            owner="alice",
            owner_stamp=stamp,
        )
        token = replace(token, **facts)
        await ledger.tokens.add(token)
        return token, text

    known = place.access(lambda access: access.known("alice"))
    stamp = known.stamp if known else ""
    return place.ledger(add)


@pytest.mark.parametrize("name", ["__token__", "alice", "whoever", ""])
@pytest.mark.parametrize("spaces", ["", "  "])
def test_aut_2_a_token_is_a_password(place: Site, name: str, spaces: str) -> None:
    """With any user's name, spaces around it or not, a token is its owner."""
    text = place.token(ALICE)["token"]
    answer = place.ask("GET", "/simple/flask/", auth=(name, f"{spaces}{text}{spaces}"))
    assert answer.status_code == 200


def test_aut_2_a_token_is_a_bearer(place: Site) -> None:
    """As Bearer it is the same."""
    text = place.token(ALICE)["token"]
    assert place.ask("GET", "/simple/flask/", auth=Bearer(text)).status_code == 200
    for wrong in ("-", "x", ADMIN[1], f"{text} {text}"):
        assert place.ask("GET", "/simple/flask/", auth=Bearer(wrong)).status_code == 401


def test_aut_8_a_token_is_shown_once(place: Site) -> None:
    """The text is in the answer that made it, and nowhere else; nobody may keep that answer."""
    body = {"name": "once", "permissions": ["read"]}
    answer = place.ask("POST", "/api/v1/tokens", auth=ALICE, json=body)
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert tokens.PATTERN.fullmatch(made["token"])
    secret = made["token"][22:]
    assert secret not in place.ask("GET", "/api/v1/tokens", auth=ALICE).text
    assert secret not in repr(place.trail(target=f"token:{made['id']}"))
    assert secret not in repr(place.ledger(lambda ledger: ledger.tokens.of()))


def test_a_token_holds_as_long_as_was_asked(place: Site) -> None:
    """90 days unasked, what is asked otherwise, and never more than the settings allow."""
    for asked, seconds in (({}, 90 * 86400), ({"expires_in": 3600}, 3600)):
        made = place.token(ALICE, **asked)
        created, expires = map(datetime.fromisoformat, (made["created"], made["expires"]))
        assert (expires - created).total_seconds() == seconds
    body = {"name": "x", "permissions": ["read"], "expires_in": 367 * 86400}
    assert place.ask("POST", "/api/v1/tokens", auth=ALICE, json=body).status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"permissions": ["write"]},
        {"projects": ["a b"]},
        {"projects": ["Corp-*"]},
        {"networks": ["10.0.0.1/8"]},
        {"expires_in": 0},
        {"expires_in": -1},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"projects": ["x"] * 201},
        {"colour": "blue"},
        {"permissions": "read"},
    ],
    ids=str,
)
def test_what_no_token_can_be(place: Site, wrong: dict[str, Any]) -> None:
    """A request that makes no sense is 400, and makes nothing."""
    before = len(place.ledger(lambda ledger: ledger.tokens.of()))
    body = {"name": "x", "permissions": ["read"], **wrong}
    assert place.ask("POST", "/api/v1/tokens", auth=ALICE, json=body).status_code == 400
    assert len(place.ledger(lambda ledger: ledger.tokens.of())) == before


def test_aut_7_out_of_scope_is_403_and_says_so(place: Site) -> None:
    """A token does what it was made for; all else is refused with a text."""
    text = place.token(ALICE, projects=["flask", "corp-*"])["token"]
    assert place.ask("GET", "/simple/flask/", auth=text).status_code == 200
    assert place.ask("GET", "/simple/corp-a/", auth=text).status_code == 200
    refused = place.ask("GET", "/simple/django/", auth=text)
    assert refused.status_code == 403
    assert refused.json()["message"] == "This token isn't made to read project 'django'."
    upload = place.upload(make_wheel("flask", "2.0"), "flask", auth=text, version="2.0")
    assert upload.status_code == 403
    assert "This token isn't made to upload" in upload.json()["message"]
    listed = place.ask("GET", "/simple/", auth=text).text
    assert "flask" in listed
    assert "corp-a" in listed
    assert "django" not in listed


def test_a_token_claims_names_only_where_it_was_made_to(place: Site) -> None:
    """Uploading is one thing, beginning a project another, which is asked for by itself."""
    plain = place.token(ALICE, permissions=["upload"], projects=["*"])["token"]
    made = make_wheel("newcomer", "1.0")
    assert place.upload(made, "newcomer", auth=plain).status_code == 403
    claiming = place.token(ALICE, permissions=["upload"], creates=True)["token"]
    assert place.upload(made, "newcomer", auth=claiming).status_code == 200
    again = make_wheel("newcomer", "1.1")
    assert place.upload(again, "newcomer", auth=plain, version="1.1").status_code == 200


def test_t04_a_token_means_the_generation_of_a_project(place: Site) -> None:
    """A name deleted and taken again is another project: the old token does not reach it."""
    place.publish("mortal")
    pinned = place.token(ALICE, projects=["mortal"])["token"]
    assert place.ask("GET", "/simple/mortal/", auth=pinned).status_code == 200
    place.ask("DELETE", "/api/v1/projects/mortal", auth=ADMIN).raise_for_status()
    second = make_wheel("mortal", "2.0")
    assert place.upload(second, "mortal", auth=ADMIN, version="2.0").status_code == 200
    assert place.ask("GET", "/simple/mortal/", auth=pinned).status_code == 403


def test_t04_a_token_for_a_free_name_is_bound_at_its_claim(place: Site) -> None:
    """A token made before its project means the first that comes, and no later one."""
    early = place.token(ALICE, projects=["later-on"])
    place.publish("later-on")
    assert place.ask("GET", "/simple/later-on/", auth=early["token"]).status_code == 200
    found = place.ledger(lambda ledger: ledger.tokens.find(early["id"]))
    assert found is not None
    assert found.scope.projects["later-on"] is not None
    place.ask("DELETE", "/api/v1/projects/later-on", auth=ADMIN).raise_for_status()
    second = make_wheel("later-on", "2.0")
    assert place.upload(second, "later-on", auth=ADMIN, version="2.0").status_code == 200
    assert place.ask("GET", "/simple/later-on/", auth=early["token"]).status_code == 403


def test_a_token_is_no_more_than_its_owner(place: Site) -> None:
    """What the owner may not do, the token may not, whatever it was made for."""
    text = place.token(ALICE, permissions=["read", "manage"])["token"]
    answer = place.ask("DELETE", "/api/v1/projects/flask", auth=text)
    assert answer.status_code == 403
    assert "The user 'alice' isn't allowed to manage" in answer.json()["message"]


def test_an_admins_token_is_no_admin(place: Site) -> None:
    """It is one only where it was made so, which only an admin may."""
    plain = place.token(ADMIN)["token"]
    assert place.ask("GET", "/api/v1/changes", auth=plain).status_code == 403
    mighty = place.token(ADMIN, admin=True)["token"]
    assert place.ask("GET", "/api/v1/changes", auth=mighty).status_code == 200
    body = {"name": "x", "permissions": ["read"], "admin": True}
    for who in (ALICE, ("__token__", plain)):
        assert place.ask("POST", "/api/v1/tokens", auth=who, json=body).status_code == 403


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"created": datetime.now(UTC) - 2 * DAY, "lifetime": DAY}, "This token expired on 20"),
        ({"created": datetime.now(UTC) - 91 * DAY, "lifetime": 200 * DAY}, "not used for 91 days"),
        ({"owner": "nobody"}, "This token's owner may not log in any more."),
        ({"owner_stamp": "of another alice"}, "This token's owner may not log in any more."),
        ({"digest": "0" * 64}, "This token is not known here"),
    ],
    ids=["expired", "unused", "no owner", "another owner", "another secret"],
)
def test_aut_7_a_token_that_holds_no_more_says_why(
    place: Site, facts: dict[str, Any], says: str
) -> None:
    """401 with a challenge and the reason."""
    _, text = owned(place, **facts)
    answer = place.ask("GET", "/simple/flask/", auth=text)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert says in answer.json()["message"]


@pytest.mark.parametrize(
    ("days", "lifetime", "ended"),
    [
        (10, 30, None),
        (91, 200, "not used for too long, refused since"),
        (60, 30, "expired on"),
    ],
    ids=["holds", "unused", "expired"],
)
def test_a_token_that_ended_is_marked(
    place: Site, days: int, lifetime: int, ended: str | None
) -> None:
    """Where tokens are listed, by the API and on the page of the account."""
    created = datetime.now(UTC) - days * DAY
    token, _ = owned(place, created=created, lifetime=lifetime * DAY, name=f"of {days} days")
    lines = place.ask("GET", "/api/v1/tokens", auth=ALICE).json()
    (line,) = [one for one in lines if one["id"] == token.id]
    ends = datetime.fromisoformat(line["ends"])
    assert abs(ends - (created + min(lifetime, 90) * DAY)) < timedelta(seconds=1)
    assert (ends < datetime.now(UTC)) == bool(ended)
    with browsing(place, ALICE) as browser:
        page = browser.get("/account").text
    row = page[page.index(f"of {days} days") :].partition("</li>")[0]
    assert (ended or "until") in row
    assert str(ends.date() if ended else token.expires.date()) in row


def test_a_token_used_lately_holds(place: Site) -> None:
    """The days without use count from the last one."""
    then = datetime.now(UTC)
    _, text = owned(place, created=then - 91 * DAY, lifetime=200 * DAY, last_used=then - DAY)
    assert place.ask("GET", "/simple/flask/", auth=text).status_code == 200


def test_a_mistyped_token_is_told_so(place: Site) -> None:
    """Its checksum says it, in a text of its own."""
    text = place.token(ALICE)["token"]
    answer = place.ask("GET", "/simple/flask/", auth=text[:-1])
    assert (answer.status_code, answer.json()["message"]) == (
        401,
        "This token is mistyped or not complete.",
    )


def test_networks_bind_a_token(place: Site) -> None:
    """From elsewhere it is refused; from within it holds."""
    inside = place.token(ALICE, networks=["127.0.0.0/8"])["token"]
    outside = place.token(ALICE, networks=["10.0.0.0/8"])["token"]
    assert place.ask("GET", "/simple/flask/", auth=inside).status_code == 200
    refused = place.ask("GET", "/simple/flask/", auth=outside)
    assert refused.status_code == 403
    assert refused.json()["message"] == "This token may not be used from 127.0.0.1."


def test_i20_a_revoked_token_is_dead_at_once(place: Site) -> None:
    """With the next request it is not known."""
    made = place.token(ALICE)
    assert place.ask("GET", "/simple/flask/", auth=made["token"]).status_code == 200
    gone = place.ask("DELETE", f"/api/v1/tokens/{made['id']}", auth=ALICE)
    assert gone.status_code == 204
    answer = place.ask("GET", "/simple/flask/", auth=made["token"])
    assert answer.status_code == 401
    assert "it was revoked" in answer.json()["message"]
    assert place.ask("DELETE", f"/api/v1/tokens/{made['id']}", auth=ALICE).status_code == 404


def test_i20_tokens_of_the_disabled_and_the_deleted_are_dead_at_once(place: Site) -> None:
    """Nor does somebody later of the same name own them."""
    robot = place.user("robot")
    text = place.token(robot)["token"]
    assert place.ask("GET", "/simple/flask/", auth=text).status_code == 200
    user = "/api/v1/users/robot"
    for disabled, status in ((True, 401), (False, 200)):
        place.ask("PATCH", user, auth=ADMIN, json={"disabled": disabled}).raise_for_status()
        assert place.ask("GET", "/simple/flask/", auth=text).status_code == status
    place.ask("DELETE", user, auth=ADMIN).raise_for_status()
    assert place.ask("GET", "/simple/flask/", auth=text).status_code == 401
    robot = place.user("robot")
    assert place.ask("GET", "/simple/flask/", auth=text).status_code == 401
    assert place.ask("GET", "/api/v1/tokens", auth=robot).json() == []


@pytest.mark.parametrize("ended", ["token", "user", "password", "grant", "nothing"])
def test_i20_what_is_taken_away_ends_an_upload_under_way(place: Site, ended: str) -> None:
    """A right that ends while the file is on its way publishes nothing any more."""
    name, password = place.user(f"eve-{ended}")
    # Large enough to be written down before it is there.
    made = make_wheel(f"late-{ended}", files={"late.bin": secrets.token_bytes(500_000)})
    auth: tuple[str, str] = (name, password)
    token = place.token(auth, permissions=["upload"], creates=True)
    if ended != "password":
        auth = ("__token__", token["token"])
    sent = httpx.Request(
        "POST",
        f"{place.url}/legacy/",
        data=form(made, f"late-{ended}", "1.0"),
        files={"content": (made.filename, made.content)},
    )
    body, going_on = sent.read(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield body[:-100]
        assert going_on.wait(60)
        yield body[-100:]

    with ThreadPoolExecutor(1) as pool:
        headers = {"Content-Type": sent.headers["content-type"], "Content-Length": str(len(body))}
        answer = pool.submit(
            httpx.post, sent.url, content=slowly(), headers=headers, auth=auth, timeout=60
        )
        try:
            while not any(place.spool.glob("upload-*")):  # until then nobody was asked
                assert not answer.done(), answer.result().text
                time.sleep(0.02)
            if ended == "token":
                place.ask("DELETE", f"/api/v1/tokens/{token['id']}", auth=ADMIN).raise_for_status()
            elif ended == "user":
                place.access(lambda access: access.set_disabled(name, True))
            elif ended == "password":
                place.access(lambda access: access.set_password(name, "another fine passphrase"))
            elif ended == "grant":
                path = f"/api/v1/projects/late-{ended}/grants/user:{ADMIN[0]}"
                nobody_else = {"permissions": ["read"]}
                place.ask("PUT", path, auth=ADMIN, json=nobody_else).raise_for_status()
        finally:
            going_on.set()
        expected = {"nothing": 200, "grant": 403}.get(ended, 401)
        assert answer.result(60).status_code == expected, answer.result().text
    listed = place.ask("GET", f"/api/v1/projects/late-{ended}", auth=ADMIN).status_code
    assert listed == (200 if ended == "nothing" else 404)


def test_a_new_password_leaves_tokens_alone(place: Site) -> None:
    """Tokens are credentials of their own."""
    worker = place.user("worker")
    text = place.token(worker)["token"]
    place.access(lambda access: access.set_password("worker", "quite another passphrase"))
    assert place.ask("GET", "/simple/flask/", auth=text).status_code == 200


def test_nobody_touches_the_tokens_of_others(place: Site) -> None:
    """To others a token is not there; an admin lists and revokes any."""
    place.user("eve")
    eve = ("eve", ALICE[1])
    made = place.token(ALICE)
    path = f"/api/v1/tokens/{made['id']}"
    assert place.ask("DELETE", path, auth=eve).status_code == 404
    assert place.ask("POST", f"{path}/rotate", auth=eve).status_code == 404
    assert place.ask("GET", "/api/v1/tokens?owner=alice", auth=eve).status_code == 403
    assert place.ask("GET", "/api/v1/tokens?owner=*", auth=eve).status_code == 403
    assert place.ask("GET", "/api/v1/tokens", auth=eve).json() == []
    listed = place.ask("GET", "/api/v1/tokens?owner=alice", auth=ADMIN).json()
    assert made["id"] in [line["id"] for line in listed]
    assert place.ask("POST", f"{path}/rotate", auth=ADMIN).status_code == 403
    assert place.ask("DELETE", path, auth=ADMIN).status_code == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/tokens"),
        ("POST", "/api/v1/tokens"),
        ("DELETE", "/api/v1/tokens/x"),
        ("POST", "/api/v1/tokens/x/rotate"),
        ("GET", "/api/v1/audit"),
    ],
)
def test_aut_3_the_anonymous_are_asked_for_credentials(place: Site, method: str, path: str) -> None:
    """Tokens and the trail are nothing for the anonymous."""
    body = {"json": {"name": "x", "permissions": ["read"]}} if method == "POST" else {}
    answer = place.ask(method, path, **body)
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


def test_a_token_makes_narrower_ones(place: Site) -> None:
    """Made with a token, a token is no wider, ends no later, and is revoked with it."""
    parent = place.token(
        ALICE, permissions=["read", "upload"], projects=["corp-*"], expires_in=3600
    )
    child = place.token(parent["token"], projects=["corp-a"])
    assert child["parent"] == parent["id"]
    assert child["expires"] <= parent["expires"]
    assert place.ask("GET", "/simple/corp-a/", auth=child["token"]).status_code == 200
    for wider in (
        {"projects": ["*"]},
        {"projects": ["flask"]},
        {"projects": ["corp-a"], "permissions": ["manage"]},
        {"projects": ["corp-a"], "creates": True},
    ):
        body = {"name": "x", "permissions": ["read"], **wider}
        answer = place.ask("POST", "/api/v1/tokens", auth=parent["token"], json=body)
        assert answer.status_code == 403
    other = place.token(ALICE)
    assert place.ask("DELETE", f"/api/v1/tokens/{other['id']}", auth=parent["token"]).is_error
    shown = place.ask("GET", "/api/v1/tokens", auth=parent["token"]).json()
    assert {line["id"] for line in shown} == {parent["id"], child["id"]}
    place.ask("DELETE", f"/api/v1/tokens/{parent['id']}", auth=ALICE).raise_for_status()
    assert place.ask("GET", "/simple/corp-a/", auth=child["token"]).status_code == 401


def test_a_token_is_made_anew(place: Site) -> None:
    """Rotated, the old one is dead, the new one is as it was and holds as long."""
    old = place.token(ALICE, projects=["flask"], expires_in=7200, networks=["127.0.0.1/32"])
    answer = place.ask("POST", f"/api/v1/tokens/{old['id']}/rotate", auth=ALICE)
    assert answer.status_code == 201
    new = answer.json()
    changing = ("id", "token", "created", "expires", "ends")
    assert {k: v for k, v in new.items() if k not in changing} == {
        k: v for k, v in old.items() if k not in changing
    }
    assert new["id"] != old["id"]
    assert place.ask("GET", "/simple/flask/", auth=old["token"]).status_code == 401
    assert place.ask("GET", "/simple/flask/", auth=new["token"]).status_code == 200
    assert place.ask("GET", "/simple/django/", auth=new["token"]).status_code == 403


def test_a_token_that_renews_itself_ends_no_later(place: Site) -> None:
    """Whoever found a token does not prolong it."""
    old = place.token(ALICE, expires_in=7200)
    new = place.ask("POST", f"/api/v1/tokens/{old['id']}/rotate", auth=old["token"]).json()
    assert new["expires"] <= old["expires"]
    assert place.ask("GET", "/simple/flask/", auth=new["token"]).status_code == 200


def test_t19_a_leaked_token_is_revoked_by_whoever_reports_it(place: Site) -> None:
    """Anybody who shows a token's text ends it; the answer never says whether it was one."""
    made, other = place.token(ALICE), place.token(ALICE)
    alert = [{"token": made["token"], "type": "pypicloud", "url": "https://code.example/x"}]
    unknown = tokens.make(
        "u", scope=Scope(permissions=frozenset(), projects={}), now=datetime.now(UTC), lifetime=DAY
    )[1]
    wrong_secret = made["token"][:22] + unknown[22:]
    answers = [
        place.ask("POST", "/api/v1/tokens/leaked", json=alert),
        place.ask("POST", "/api/v1/tokens/leaked", json=alert),
        place.ask("POST", "/api/v1/tokens/leaked", content=f"see {unknown} {wrong_secret}"),
        place.ask("POST", "/api/v1/tokens/leaked", content=b"\xff\x00 no token"),
        place.ask("POST", "/api/v1/tokens/leaked", content=other["id"]),
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(204, b"")}
    assert place.ask("GET", "/simple/flask/", auth=made["token"]).status_code == 401
    assert place.ask("GET", "/simple/flask/", auth=other["token"]).status_code == 200
    (entry,) = place.trail(action="token.leak", target=f"token:{made['id']}")
    assert entry.before is not None
    assert entry.before["owner"] == "alice"


def test_the_last_use_is_noted_beside_the_request(place: Site) -> None:
    """Soon after its use a token shows when that was."""
    made = place.token(ALICE)
    assert made["last_used"] is None
    place.ask("GET", "/simple/flask/", auth=made["token"]).raise_for_status()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        lines = place.ask("GET", "/api/v1/tokens", auth=ALICE).json()
        if next(line for line in lines if line["id"] == made["id"])["last_used"]:
            return
        time.sleep(0.5)
    raise AssertionError("it was never noted")


BUILD = {
    "repository": "corp/a",
    "job_workflow_ref": "corp/a/.github/workflows/release.yml@refs/heads/main",
    "ref": "refs/heads/main",
    "sha": "f" * 40,
}
"""What a build's identity token said."""


def test_a_minted_token_is_its_scope_and_no_more(place: Site) -> None:
    """A publisher's token uploads to its project; it reads nothing, and has no tokens."""
    generation_of: dict[str, str | None] = {}
    body = {"provider": "github", "repository": "corp/a", "workflow": "release.yml"}
    registered = place.ask(
        "POST", "/api/v1/projects/corp-a/publishers", auth=ADMIN, json=body
    ).json()
    publisher: str = registered["id"]

    async def mint(ledger: Ledger) -> str:
        token, text = tokens.make(
            tokens.MINTED,
            scope=Scope(
                permissions=frozenset({Permission.UPLOAD}),
                projects=generation_of,
                sufficient=True,
            ),
            now=datetime.now(UTC),
            lifetime=tokens.MINTED_LIFETIME,
            publisher=publisher,
            claims={"publishers": {"corp-a": publisher}, "claims": BUILD},
        )
        await ledger.tokens.add(token)
        return text

    pinned = place.token(ALICE, projects=["corp-a"])
    found = place.ledger(lambda ledger: ledger.tokens.find(pinned["id"]))
    assert found is not None
    generation_of.update(found.scope.projects)
    text = place.ledger(mint)
    made = make_wheel("corp_a", "3.0")
    assert place.upload(made, "corp-a", auth=text, version="3.0").status_code == 200
    assert place.ask("GET", "/simple/corp-a/", auth=text).status_code == 403
    other = make_wheel("flask", "3.0")
    assert place.upload(other, "flask", auth=text, version="3.0").status_code == 403
    assert place.ask("GET", "/api/v1/tokens", auth=text).status_code == 403
    (entry,) = place.trail(target=f"file:corp-a/{made.filename}")
    assert (entry.actor and entry.actor.kind, entry.credential) == ("publisher", text[10:22])


def test_who_is_deleted_leaves_no_token_and_no_session(place: Site) -> None:
    """All of them are gone from the ledger, and the trail says how many there were."""
    dora = place.user("dora")
    kept = [place.token(auth=dora)["token"] for _ in range(2)]
    form = {"username": dora[0], "password": dora[1]}
    place.ask("POST", "/login", data=form, headers={"Origin": place.url})
    place.ask("DELETE", "/api/v1/users/dora", auth=ADMIN).raise_for_status()
    assert [place.ask("GET", "/api/v1/account", auth=one).status_code for one in kept] == [401] * 2
    assert place.ledger(lambda ledger: ledger.tokens.of("dora")) == []
    assert place.ledger(lambda ledger: ledger.sessions.of("dora")) == []
    (entry,) = place.trail(action="user.delete", target="user:dora")
    assert entry.after == {"ended": {"tokens": 2, "sessions": 1, "subjects": 0}}
