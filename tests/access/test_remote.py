"""Users and grants as another server tells them, and one that tells nonsense."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from packaging.utils import NormalizedName

from app import errors
from app.access.base import UNBOUND, Access, Account
from app.access.remote import RemoteAccess, connect
from app.models import Permission
from tests.contracts.access_reading import PASSWORD, ReadAccessContract
from tests.servers import acl
from tests.servers.acl import AclServer, raw, said

FLASK = NormalizedName("flask")
READ, UPLOAD = Permission.READ, Permission.UPLOAD
OPTIONS: dict[str, Any] = {
    "username": acl.CREDENTIALS[0],
    "password": acl.CREDENTIALS[1],
    "timeout": "10 s",
    "cache": "1 ms",
}


@asynccontextmanager
async def opened(server: AclServer, **options: Any) -> AsyncIterator[RemoteAccess]:
    """Access at the server."""
    async with connect(server.url, OPTIONS | options) as found:
        yield found


@pytest.fixture
async def server() -> AsyncIterator[AclServer]:
    """A server that behaves."""
    async with acl.serving() as found:
        yield found


@pytest.fixture(params=["post", "get"])
async def readable(request: pytest.FixtureRequest, server: AclServer) -> AsyncIterator[Access]:
    """Its users, asked in each way."""
    async with opened(server, method=request.param) as found:
        yield found


class TestContract(ReadAccessContract):
    """What every access backend promises."""


async def test_grants_are_by_name_of_the_project(server: AclServer) -> None:
    """Whatever generation there is; what is no permission or no name here is left out."""
    granted = {
        "user:alice": {READ, UPLOAD},
        "everyone": {READ},
        "group:web-team": {READ},
    }
    async with opened(server) as access:
        for generation in ("g1", "g2", None):
            assert await access.grants(FLASK, generation) == granted
        assert await access.all_grants() == {(FLASK, UNBOUND): granted}


async def test_everybody_is_exported_without_passwords(server: AclServer) -> None:
    """Users, admins, groups with their members, grants; nobody's hash is known."""
    async with opened(server) as access:
        people = await access.people()
    assert people.accounts == (Account(name="alice"), Account(name="bob", admin=True))
    assert people.groups == {"web-team": {"alice"}, "empty": frozenset()}
    assert set(people.grants) == {(FLASK, UNBOUND)}


async def test_no_password_is_in_a_url(server: AclServer) -> None:
    """What is asked goes in the body of a POST, and in a query only where that is set."""
    async with opened(server) as access:
        assert await access.identify("alice", PASSWORD) is not None
    assert [(one.method, one.target) for one in server.asked] == [
        ("POST", f"/acl/{what}") for what in ("verify", "groups", "admin")
    ]
    assert server.asked[0].parameters == {"username": "alice", "password": PASSWORD}
    async with opened(server, method="get") as access:
        assert await access.identify("alice", PASSWORD) is not None
    assert server.asked[3].target.startswith("/acl/verify?username=alice&password=")


async def test_paths_may_be_others(server: AclServer) -> None:
    """Each question's path is a setting."""
    server.wrong["/who"] = said(200, True)
    async with opened(server, verify="/who") as access:
        assert await access.identify("alice", "whatever they like") is not None


async def test_what_cannot_be_is_not_even_asked(server: AclServer) -> None:
    """A malformed name, and an empty password, are nobody's without a question."""
    async with opened(server) as access:
        for name, password in (("alice", ""), ("alice", "\0"), ("a b", PASSWORD), ("", PASSWORD)):
            assert await access.identify(name, password) is None
        assert await access.known("a&b=c") is None
    assert server.asked == []


async def test_answers_are_remembered_for_seconds(server: AclServer) -> None:
    """For so long nothing is asked twice; a wrong password is asked about each time."""
    async with opened(server, cache="60 s") as access:
        first = await access.identify("alice", PASSWORD)
        await access.grants(FLASK, "g1")
        await access.all_grants()
        before = len(server.asked)
        server.users.clear()
        assert await access.identify("alice", PASSWORD) == first
        await access.grants(FLASK, "g2")
        await access.all_grants()
        assert len(server.asked) == before
        assert await access.identify("alice", "wrong") is None
        assert len(server.asked) == before + 1
    async with opened(server) as access:
        assert await access.identify("alice", PASSWORD) is None


async def asked_everything(access: RemoteAccess) -> list[BaseException | None]:
    """What each question raises."""
    outcomes: list[BaseException | None] = []
    for question in (
        access.identify("alice", PASSWORD),
        access.known("alice"),
        access.grants(FLASK, None),
        access.all_grants(),
        access.people(),
    ):
        try:
            await question
        except errors.PypicloudError as error:
            outcomes.append(error)
        else:
            outcomes.append(None)
    return outcomes


PATHS = ["verify", "groups", "admin", "user_data", "user_permissions", "group_permissions"]
PATHS += ["group_members", "user_package_permissions", "group_package_permissions"]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(b"", id="silence"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="no HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntru", id="cut off"),
        pytest.param(said(500, {"error": "no"}), id="500"),
        pytest.param(said(401, "no"), id="401"),
        pytest.param(said(403, True), id="403"),
        pytest.param(raw(204, b""), id="204"),
        pytest.param(raw(200, b""), id="nothing"),
        pytest.param(raw(200, b"<html>"), id="HTML"),
        pytest.param(raw(200, b"[" * 100_000), id="a well"),
        pytest.param(raw(200, b"\xff\xfe"), id="no text"),
        pytest.param(raw(200, b'"' + b"x" * 5_000 + b'"'), id="too large"),
        pytest.param(raw(200, b"true", "Content-Encoding: gzip"), id="not gzip"),
        pytest.param(said(200, 1), id="a number"),
        pytest.param(said(200, "true"), id="a text"),
        pytest.param(said(200, [1]), id="numbers"),
        pytest.param(said(200, [{"username": 1, "package": 2}]), id="other objects"),
        pytest.param(said(200, {"alice": "read"}), id="another object"),
    ],
)
async def test_a_server_that_misbehaves_is_unavailable(server: AclServer, wrong: bytes) -> None:
    """What it says is neither "nobody" nor "no grants", nor a permission; and it ends in time."""
    server.wrong = {f"/{path}": wrong for path in PATHS}
    async with opened(server, timeout="1 s", largest=4096) as access:
        outcomes = await asked_everything(access)
    if wrong.endswith(b"true"):  # what says that it is packed, and is not, is taken as it is
        outcomes = outcomes[1:]
    assert [type(one) for one in outcomes] == [errors.AccessUnavailable] * len(outcomes)


@pytest.mark.parametrize("path", PATHS)
async def test_each_answer_must_be_in_shape(server: AclServer, path: str) -> None:
    """An answer of another kind to any one question is noticed."""
    server.wrong[f"/{path}"] = said(200, 7)
    async with opened(server) as access:
        assert any(await asked_everything(access))


async def test_no_redirect_is_followed(server: AclServer) -> None:
    """Neither password nor credentials go where the server points."""
    async with acl.serving() as other:
        target = f"Location: http://127.0.0.1:{other.port}/acl/verify"
        for status in (301, 302, 303, 307, 308):
            server.wrong["/verify"] = said(status, True, target)
            async with opened(server) as access:
                with pytest.raises(errors.AccessUnavailable, match=str(status)):
                    await access.identify("alice", PASSWORD)
        assert other.asked == []


async def test_who_we_are_must_be_right(server: AclServer) -> None:
    """A server that does not know us answers 401: unavailable, and nobody is let in."""
    async with opened(server, password="hunter2") as access:
        with pytest.raises(errors.AccessUnavailable, match="401") as caught:
            await access.identify("alice", PASSWORD)
    assert "hunter2" not in str(caught.value)


async def test_an_error_tells_no_password() -> None:
    """Not even where the URL of the request has it."""
    async with acl.serving() as server:
        pass
    async with opened(server, method="get") as access:
        with pytest.raises(errors.AccessUnavailable) as caught:
            await access.identify("alice", "hunter2")
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_a_certificate_must_be_of_its_authority(tmp_path: Path) -> None:
    """With the right authority the server is asked; with another, nothing is sent."""
    right, other = trustme.CA(), trustme.CA()
    right.cert_pem.write_to_path(tmp_path / "right.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    right.issue_cert("127.0.0.1").configure_cert(tls)
    async with acl.serving(tls) as server:
        async with opened(server, ca_file=tmp_path / "right.pem") as access:
            assert await access.identify("alice", PASSWORD) is not None
        asked = len(server.asked)
        for ca_file in (tmp_path / "other.pem", None):
            async with opened(server, ca_file=ca_file) as access:
                with pytest.raises(errors.AccessUnavailable, match="Certificate"):
                    await access.identify("alice", PASSWORD)
        assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("remote:", {}, "https://HOST/PATH"),
        ("remote:ftp://127.0.0.1", {}, "https://HOST/PATH"),
        ("remote:https://user:hunter2@127.0.0.1/", {}, "PYPICLOUD_REMOTE__PASSWORD"),
        ("remote:https://127.0.0.1/?x=hunter2", {}, "https://HOST/PATH"),
        ("remote:https://[127.0.0.1/", {}, "https://HOST/PATH"),
        ("remote:http://acl.example/", {}, "in the clear"),
        ("remote:https://127.0.0.1/", {"password": None}, "together"),
        ("remote:https://127.0.0.1/", {"cache": "2 min"}, "cache"),
        ("remote:https://127.0.0.1/", {"method": "PUT"}, "method"),
        ("remote:https://127.0.0.1/", {"ca_file": "/nowhere.pem"}, "/nowhere.pem"),
    ],
)
async def test_what_cannot_work(url: str, options: dict[str, Any], said: str) -> None:
    """One line says what, and quotes no password."""
    with pytest.raises(errors.Misconfigured) as caught:
        async with connect(url, OPTIONS | options):
            pass
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
