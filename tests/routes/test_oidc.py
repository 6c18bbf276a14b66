"""Trusted publishing at its doors: audience, mint, upload, publishers; and two replicas."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from packaging.utils import NormalizedName

from app.cache import sql
from app.index.claims import claim
from app.index.commit import Commits
from app.models import Actor
from app.storage import file
from tests.factories import Made, form, make_wheel
from tests.routes.publishing import AUDIENCE, MINT, PUBLISHER, Index, made_settings, running
from tests.servers import issuer as issuers
from tests.servers.issuer import Issuer


def refusal(answer: httpx.Response) -> str:
    """The code of a refusal in the shape that clients read (TP-3)."""
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    shown = answer.json()
    assert shown["message"] == "Token request failed"
    (error,) = shown["errors"]
    assert set(error) == {"code", "description"}
    code: str = error["code"]
    return code


def test_tp_1_the_audience_is_told(index: Index) -> None:
    """At the root of the host, without credentials."""
    assert index.http.get("/_/oidc/audience").json() == {"audience": AUDIENCE}


def test_tp_2_a_build_gets_a_token_that_uploads(index: Index) -> None:
    """From registration to a file in the index: a pending publisher begins its project (TP-6)."""
    registered = index.register()
    assert registered.status_code == 201, registered.text
    assert registered.json()["pending"] is True
    answer = index.mint()
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"success", "token", "expires"}
    assert answer.json()["success"] is True
    token = answer.json()["token"]
    assert token.startswith("pypi-ppco_")
    assert index.upload(token).status_code == 200
    assert index.upload(token, make_wheel("spam", "2.0")).status_code == 200
    (listed,) = index.admin.get("/api/v1/projects/spam/publishers").json()
    assert (listed["id"], listed["pending"]) == (registered.json()["id"], False)
    assert listed["pinned"] == {"repository_id": "1001", "repository_owner_id": "77"}
    files = index.admin.get("/api/v1/projects/spam").json()["files"]
    assert {file["uploader"] for file in files} == {f"publisher:{listed['id']}"}
    assert index.mint().status_code == 200


def by_password(index: Index, made: Made) -> httpx.Response:
    """Upload as the admin."""
    name, version, *_ = made.filename.split("-")
    files = {"content": (made.filename, made.content)}
    return index.admin.post("/legacy/", data=form(made, name, version), files=files)


def test_t19_who_publishes_beside_a_trusted_publisher_is_warned(index: Index) -> None:
    """In the answer, in the trail, and for the bytes that are new alone."""
    index.register().raise_for_status()
    token = index.mint().json()["token"]
    assert index.upload(token).text == "OK\n"
    made = make_wheel("spam", "3.0")
    warned = by_password(index, made)
    assert warned.status_code == 200
    first, second = warned.text.splitlines()
    assert first == "OK"
    assert second.startswith("Warning: spam has a trusted publisher, and this file did not come")
    assert by_password(index, made).text == "OK\n"
    entries = index.admin.get("/api/v1/audit", params={"action": "file.publish"}).json()["entries"]
    passed = {one["target"].rpartition("/")[2]: one["after"].get("passed_over") for one in entries}
    assert passed[made.filename] == "trusted publisher"
    assert list(passed.values()).count(None) == 1
    assert by_password(index, make_wheel("eggs")).text == "OK\n"


def test_tp_5_the_token_uploads_to_its_project_and_nothing_else(index: Index) -> None:
    """Not to another name, free or taken; it reads nothing, manages nothing, makes no token."""
    index.register()
    index.admin.post("/api/v1/projects/ham/publishers", json={**PUBLISHER, "workflow": "x.yml"})
    token = index.minted()
    assert index.upload(token, make_wheel("eggs")).status_code == 403
    assert index.upload(token, make_wheel("ham")).status_code == 403
    assert index.upload(token).status_code == 200
    auth = ("__token__", token)
    for method, path in (
        ("GET", "/simple/spam/"),
        ("GET", "/api/v1/projects/spam"),
        ("DELETE", "/api/v1/projects/spam"),
        ("GET", "/api/v1/projects/spam/publishers"),
        ("POST", "/api/v1/projects/spam/publishers"),
        ("POST", "/api/v1/projects/other/publishers"),
        ("GET", "/api/v1/changes"),
        ("GET", "/api/v1/tokens"),
    ):
        answer = index.http.request(method, path, auth=auth, json=PUBLISHER)
        assert answer.status_code == 403, (method, path, answer.text)


def test_tp_5_the_token_holds_for_a_quarter_of_an_hour(index: Index) -> None:
    """Nine hundred seconds, and the answer says until when."""
    index.register()
    begun = int(time.time())
    expires = index.mint().json()["expires"]
    assert begun + 900 <= expires <= int(time.time()) + 900


BODIES = (
    *(b"", b"{}", b"[]", b"null", b"token", b'{"token": 5}', b'{"token": ""}', b"\xff"),
    *(b'{"token": "' + b"x" * 17_000 + b'"}', b"[" * 10_000, b'{"token": ["x"]}'),
)


async def claimed_alone(folder: Path, issuer: Issuer, name: str) -> None:
    """What is left of a first upload that broke off behind its claim."""
    settings = made_settings(folder, issuer)
    async with (
        file.connect(settings.storage, {}) as storage,
        sql.connect(settings.cache, {}) as cache,
    ):
        commits = Commits(storage, cache, lambda *_: None)
        await claim(commits, NormalizedName(name), name, Actor(kind="publisher", id="x"))


async def test_tp_6_a_first_upload_that_broke_off_is_sent_again(
    tmp_path: Path, issuer: Issuer
) -> None:
    """With the same token, or with a new one; then the publisher has its project."""
    with running(made_settings(tmp_path, issuer), issuer) as index:
        assert index.register().status_code == 201
        token = index.minted()
        await claimed_alone(tmp_path, issuer, "spam")
        assert index.mint().status_code == 200
        assert index.upload(token).status_code == 200
        (listed,) = index.admin.get("/api/v1/projects/spam/publishers").json()
        assert listed["pending"] is False
        assert index.upload(index.minted(), make_wheel("spam", "2.0")).status_code == 200


async def test_rights_on_a_name_do_not_outlive_a_first_upload_that_broke_off(
    tmp_path: Path, issuer: Issuer
) -> None:
    """What was granted on the free name is bound by the upload that brings the first file."""
    grants = "/api/v1/projects/spam/grants"
    with running(made_settings(tmp_path, issuer), issuer) as index:
        given = {"permissions": ["read", "upload", "manage"]}
        index.admin.put(f"{grants}/authenticated", json=given).raise_for_status()
        await claimed_alone(tmp_path, issuer, "spam")
        made = make_wheel("spam")
        again = make_wheel("spam", "2.0")
        for wheel, version in ((made, "1.0"), (again, "2.0")):
            answer = index.admin.post(
                "/legacy/",
                data=form(wheel, "spam", version),
                files={"content": (wheel.filename, wheel.content)},
            )
            assert answer.status_code == 200, answer.text
            assert [one["principal"] for one in index.admin.get(grants).json()["grants"]] == (
                ["authenticated"] if wheel is made else []
            )
            index.admin.delete("/api/v1/projects/spam").raise_for_status()


def test_tp_3_what_is_no_request_is_an_invalid_payload(index: Index) -> None:
    """Whatever is sent, the refusal has the shape that clients read."""
    for body in BODIES:
        assert refusal(index.http.post(MINT, content=body)) == "invalid-payload"


def test_tp_3_refusals_have_their_codes(index: Index) -> None:
    """No token, no publisher, a second use, a name that somebody else took."""
    assert refusal(index.mint("x.y.z")) == "invalid-token"
    assert refusal(index.mint()) == "invalid-publisher"
    index.register()
    token = index.identity()
    assert index.mint(token).status_code == 200
    assert refusal(index.mint(token)) == "invalid-reuse-token"


def test_tp_3_an_issuer_that_is_down_is_a_reason_to_come_again(index: Index) -> None:
    """503 in the same shape, with Retry-After in whole seconds."""
    index.register()
    index.issuer.faults = {issuers.JWKS: lambda: (500, {}, b"")}
    answer = index.mint()
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()
    assert answer.json()["errors"][0]["code"] == "unavailable"


def test_step_13_a_token_is_good_once_on_all_replicas(tmp_path: Path, issuer: Issuer) -> None:
    """Sent to two replicas many times at once, and again when the cache is lost."""
    with ExitStack() as stack:
        replicas = []
        for name in ("one", "two"):
            cache = f"sqlite+aiosqlite:///{tmp_path}/cache.db"
            settings = made_settings(tmp_path, issuer, cache=cache, spool=tmp_path / name)
            replicas.append(stack.enter_context(running(settings, issuer)))
        assert replicas[0].register().status_code == 201
        token, statuses = replicas[0].identity(), list[int]()

        def ask(replica: Index) -> None:
            statuses.append(replica.mint(token).status_code)

        threads = [threading.Thread(target=ask, args=(r,)) for r in replicas * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, *[422] * 7]
    for left in tmp_path.glob("cache.db*"):
        left.unlink()
    with running(made_settings(tmp_path, issuer), issuer) as again:
        assert refusal(again.mint(token)) == "invalid-reuse-token"


def test_step_17_a_removed_publisher_ends_its_tokens(index: Index) -> None:
    """At once, and for every project that it was minted for."""
    first = index.register("spam").json()["id"]
    second = index.register("eggs").json()["id"]
    token = index.minted()
    assert index.upload(token, make_wheel("eggs")).status_code == 200
    other = max(first, second)
    project = "eggs" if other == second else "spam"
    assert index.admin.delete(f"/api/v1/projects/{project}/publishers/{other}").status_code == 204
    assert index.upload(token, make_wheel(project, "2.0")).status_code in (401, 403)
    left, name = (first, "spam") if other == second else (second, "eggs")
    assert index.upload(token, make_wheel(name, "2.0")).status_code == 200
    assert index.admin.delete(f"/api/v1/projects/{name}/publishers/{left}").status_code == 204
    assert index.upload(token, make_wheel(name, "3.0")).status_code == 401
    assert refusal(index.mint()) == "invalid-publisher"


def test_tp_6_a_name_that_somebody_else_took_is_not_reached(index: Index) -> None:
    """Neither by a token minted before, nor later; nor does the publisher stay."""
    pending = index.register().json()["id"]
    token = index.minted()
    other = index.register(workflow="other.yml").json()["id"]
    moved = "octo/spam/.github/workflows/other.yml@refs/tags/v1"
    theirs = index.minted(job_workflow_ref=moved)
    assert index.upload(theirs, make_wheel("spam", "0.1")).status_code == 200
    assert index.upload(token, make_wheel("spam", "1.0")).status_code in (401, 403)
    assert refusal(index.mint()) == "invalid-publisher"
    listed = [one["id"] for one in index.admin.get("/api/v1/projects/spam/publishers").json()]
    assert listed == [other]
    assert pending not in listed


def test_a_token_registers_for_a_free_name_only_where_it_may_claim_one(index: Index) -> None:
    """Else its publisher claimed what it may not; for a project that is there it needs no more."""
    asked = {"name": "ci", "permissions": ["read", "upload", "manage"]}
    made = [
        index.admin.post("/api/v1/tokens", json={**asked, "creates": creates}).json()["token"]
        for creates in (False, True)
    ]
    claims_none, claims = (("__token__", token) for token in made)

    def register(project: str, auth: tuple[str, str]) -> httpx.Response:
        path = f"/api/v1/projects/{project}/publishers"
        return index.http.post(path, json=PUBLISHER, auth=auth)

    assert index.upload(made[0], make_wheel("spam")).status_code == 403
    refused = register("spam", claims_none)
    assert refused.status_code == 403, refused.text
    assert "isn't made to claim 'spam'" in refused.json()["message"]
    assert index.admin.get("/api/v1/projects/spam/publishers").json() == []
    assert index.upload(made[1], make_wheel("eggs")).status_code == 200
    assert register("eggs", claims_none).status_code == 201
    assert register("spam", claims).status_code == 201


def test_publishers_are_those_of_the_project_that_is(index: Index) -> None:
    """A project that was deleted takes its publishers along; one of its name has none."""
    index.register()
    token = index.minted()
    assert index.upload(token).status_code == 200
    assert index.admin.delete("/api/v1/projects/spam").status_code == 204
    assert index.upload(token, make_wheel("spam", "2.0")).status_code == 403
    assert refusal(index.mint()) == "invalid-publisher"


WRONG: tuple[dict[str, Any], ...] = (
    {"provider": "gitlab"},
    {"provider": "nobody"},
    {"issuer": "https://evil.example"},
    {"workflow": None},
    {"repository": 5},
    {"colour": "blue"},
    {"environment": ["release"]},
)


def test_a_publisher_that_cannot_be_is_refused(index: Index) -> None:
    """400, and the message says which part."""
    for changed in WRONG:
        answer = index.register(**changed)
        assert answer.status_code == 400, changed
        assert set(answer.json()) == {"code", "message"}


def test_a_publisher_is_registered_once(index: Index) -> None:
    """The same again is a conflict; one that is not there cannot be removed."""
    assert index.register().status_code == 201
    assert index.register().status_code == 409
    path = "/api/v1/projects/spam/publishers"
    assert index.admin.delete(f"{path}/nobody").status_code == 404
    assert index.http.get(path).status_code == 401
    assert index.http.post(path, json=PUBLISHER).status_code == 401


def test_trusted_publishing_may_be_off(tmp_path: Path, issuer: Issuer) -> None:
    """Without issuers: 403 for the audience, and a refusal that says so."""
    settings = made_settings(tmp_path, issuer, oidc_issuers=())
    with running(settings, issuer) as index:
        assert index.http.get("/_/oidc/audience").status_code == 403
        assert refusal(index.mint()) == "not-enabled"
        assert index.register().status_code == 400


def test_tp_11_the_endpoints_can_be_discovered(tmp_path: Path, issuer: Issuer) -> None:
    """Where a setting says so, for upload URLs of ours; else there is no such page (PEP 807)."""
    with running(made_settings(tmp_path, issuer, oidc_discovery=True), issuer) as index:
        found = index.http.get("/.well-known/pytp?discover=%2Flegacy%2F")
        assert found.status_code == 200
        assert found.headers["content-type"] == "application/vnd.pypi.pytp.v1+json"
        assert found.json() == {
            "audience-endpoint": "/_/oidc/audience",
            "token-mint-endpoint": MINT,
        }
        elsewhere = index.http.get("/.well-known/pytp?discover=%2Fother%2F")
        assert elsewhere.status_code == 404
        assert index.http.get("/.well-known/.hidden").status_code == 400


def test_tp_11_discovery_is_off_unasked(index: Index) -> None:
    """The proposal is a draft."""
    assert index.http.get("/.well-known/pytp?discover=%2Flegacy%2F").status_code == 404


def test_the_audience_is_this_indexs_alone(tmp_path: Path, issuer: Issuer) -> None:
    """The public host, or on loopback the port too; without either there is none."""
    settings = made_settings(tmp_path, issuer, oidc_audience="")
    assert settings.audience == "127.0.0.1:8000"
    public = "https://pypi.example.com/x"
    assert settings.model_copy(update={"public_url": public}).audience == "pypi.example.com"
    assert settings.model_copy(update={"host": "0.0.0.0"}).audience is None


def test_what_was_minted_and_refused_stands_in_the_trail(index: Index) -> None:
    """By the publisher, with the claims that counted, and never a token."""
    index.register()
    identity = index.identity()
    token = index.mint(identity).json()["token"]
    index.mint(identity)
    trail, deadline = "", time.monotonic() + 30
    while '"oidc.refuse"' not in trail:  # refusals are written beside the requests
        assert time.monotonic() < deadline, trail
        trail = index.admin.get("/api/v1/audit").text
    for action in ("publisher.add", "oidc.mint"):
        assert f'"{action}"' in trail
    assert "refs/tags/v1" in trail
    assert token not in trail
    assert identity not in trail
