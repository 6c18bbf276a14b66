"""XML-RPC over HTTP, asked by the standard library's client."""

from __future__ import annotations

import xmlrpc.client
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from app.models import Actor, Change, Permission
from app.routes import calls
from app.routes import xmlrpc as door
from tests.factories import make_wheel
from tests.routes.stage import Stage

CALL = (
    b"<?xml version='1.0'?><methodCall><methodName>search</methodName>"
    b"<params>%s</params></methodCall>"
)


async def post(stage: Stage, body: bytes | str, *login: str) -> httpx.Response:
    """The answer to a body."""
    async with stage.client(*login) as client:
        return await client.post("/pypi", content=body, headers={"Content-Type": "text/xml"})


async def call(stage: Stage, method: str, *arguments: Any, login: tuple[str, ...] = ()) -> Any:
    """What a method answers; raises xmlrpc.client.Fault."""
    body = xmlrpc.client.dumps(arguments, method, allow_none=False)
    response = await post(stage, body, *login)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/xml")
    (value,), _ = xmlrpc.client.loads(response.content)
    return value


@pytest.fixture
async def demo(stage: Stage) -> Stage:
    """The index with three projects."""
    await stage.publish(make_wheel("alpha", "1.0"), summary="The first <letter> \x08")
    await stage.publish(make_wheel("alpha", "1.1"), summary="The first <letter> \x08")
    await stage.publish(make_wheel("beta", "1.0"), summary="The second letter")
    await stage.publish(make_wheel("alphabet", "2.0"), summary="All of them")
    return stage


class TestMethods:
    """What can be asked."""

    @pytest.mark.parametrize(
        ("criteria", "operator", "found"),
        [
            ({"name": "alpha", "summary": "alpha"}, "or", ["alpha", "alphabet"]),
            ({"name": ["alpha"], "summary": ["second"]}, "or", ["alpha", "alphabet", "beta"]),
            ({"name": ["alpha", "bet"]}, "and", ["alphabet"]),
            ({"name": ["alpha", "bet"]}, "or", ["alpha", "alphabet", "beta"]),
            ({"summary": ["first", "letter"]}, "and", ["alpha"]),
            ({"name": "ALPHABET", "version": "9", "description": "x"}, "or", ["alphabet"]),
            ({}, "or", ["alpha", "alphabet", "beta"]),
            ({"name": "nothing like it"}, "or", []),
        ],
    )
    async def test_xml_1_search(
        self, demo: Stage, criteria: dict[str, Any], operator: str, found: list[str]
    ) -> None:
        """Substrings of names and summaries, each project once."""
        answer = await call(demo, "search", criteria, operator)
        assert [one["name"] for one in answer] == found

    async def test_xml_1_search_says_what_pip_shows(self, demo: Stage) -> None:
        """Name, summary and newest version; what XML cannot carry is left out."""
        answer = await call(demo, "search", {"name": "alpha"})
        assert answer[0] == {"name": "alpha", "summary": "The first <letter> ", "version": "1.1"}

    async def test_xml_1_lists_for_mirrors(self, demo: Stage) -> None:
        """All projects with their serials, of which the last is the greatest."""
        serials = await call(demo, "list_packages_with_serial")
        assert set(serials) == {"alpha", "alphabet", "beta"}
        assert max(serials.values()) == await call(demo, "changelog_last_serial")

    async def test_xml_1_changelog(self, demo: Stage) -> None:
        """What changed after a serial: project, version, time, action, serial."""
        before = await call(demo, "changelog_last_serial")
        await demo.publish(make_wheel("beta", "2.0"))
        (change,) = await call(demo, "changelog_since_serial", before)
        project, version, time, action, serial = change
        assert (project, version) == ("beta", "2.0")
        assert action == "add file beta-2.0-py3-none-any.whl"
        assert abs(time - datetime.now(UTC).timestamp()) < 60
        assert serial == await call(demo, "changelog_last_serial")
        assert await call(demo, "changelog_since_serial", serial) == []

    async def test_xml_1_changelog_of_what_is_no_longer_listed(self, demo: Stage) -> None:
        """In the place of older changes a mirror gets the last one of each project since."""
        before = await call(demo, "changelog_last_serial")
        for name, version in (("beta", "2.0"), ("beta", "2.1"), ("alpha", "1.9")):
            await demo.publish(make_wheel(name, version))
        serials = await call(demo, "list_packages_with_serial")
        await demo.index.history.prune(1)
        changes = await call(demo, "changelog_since_serial", before)
        assert [(one[0], one[3], one[4]) for one in changes] == [
            ("beta", "update", serials["beta"]),
            ("alpha", "add file alpha-1.9-py3-none-any.whl", serials["alpha"]),
        ]

    async def test_xml_1_serials_beyond_32_bits(self, demo: Stage) -> None:
        """They are written so that the standard library reads them."""
        await demo.cache.clear(2**40)
        await demo.cache.set_built()
        change = Change(action="x", time=datetime.now(UTC), actor=Actor(kind="system", id="x"))
        await demo.cache.record(change)
        await demo.publish(make_wheel("gamma", "1.0"))
        assert await call(demo, "changelog_last_serial") > 2**40

    @pytest.mark.parametrize("method", ["release_urls", "system.listMethods", "__class__"])
    async def test_xml_1_any_other_method_is_a_fault(self, demo: Stage, method: str) -> None:
        """With status 200, as the protocol wants it."""
        with pytest.raises(xmlrpc.client.Fault) as fault:
            await call(demo, method)
        assert fault.value.faultCode == -32601

    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            ("search", ()),
            ("search", ("alpha",)),
            ("search", ({"name": "x"}, "xor")),
            ("search", ({"name": "x"}, "or", 1)),
            ("search", ({"name": ["x"] * 21}, "or")),
            ("search", ({"name": "x" * 201}, "or")),
            ("list_packages_with_serial", (1,)),
            ("changelog_last_serial", (1,)),
            ("changelog_since_serial", ()),
            ("changelog_since_serial", ("1",)),
            ("changelog_since_serial", (True,)),
            ("changelog_since_serial", (-1,)),
        ],
    )
    async def test_xml_1_wrong_arguments_are_a_fault(
        self, demo: Stage, method: str, arguments: tuple[Any, ...]
    ) -> None:
        """Each method says what it takes."""
        with pytest.raises(xmlrpc.client.Fault) as fault:
            await call(demo, method, *arguments)
        assert fault.value.faultCode == -32602

    async def test_xml_1_only_what_the_caller_may_read(self, demo: Stage) -> None:
        """A private project is in no answer to anybody else."""
        ada = await demo.user("ada")
        await demo.grant("beta", "user:ada", Permission.READ)
        for login, expected in (((), {"alpha", "alphabet"}), (ada, {"alpha", "alphabet", "beta"})):
            found = await call(demo, "search", {"name": "", "summary": ""}, login=login)
            assert {one["name"] for one in found} == expected
            assert set(await call(demo, "list_packages_with_serial", login=login)) == expected
            changes = await call(demo, "changelog_since_serial", 0, login=login)
            assert {change[0] for change in changes} == expected

    async def test_xml_1_anonymous_is_asked_for_credentials(self, private: Stage) -> None:
        """Where nothing is open, pip is told to log in."""
        await private.publish(make_wheel("alpha", "1.0"))
        body = xmlrpc.client.dumps(({"name": "alpha"}, "or"), "search")
        assert (await post(private, body)).status_code == 401
        found = await call(
            private, "search", {"name": "alpha"}, "or", login=await private.user("ada")
        )
        assert [one["name"] for one in found] == ["alpha"]


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<methodCall><methodName>&b;</methodName></methodCall>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd">
<methodCall><methodName>x</methodName></methodCall>"""
DEEP = CALL % (b"<param>" + b"<value><array><data>" * 2_000)


class TestHostile:
    """What is no call."""

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"nonsense",
            b"<methodCall>",
            b"<methodResponse><params></params></methodResponse>",
            BOMB,
            OUTSIDE,
            DEEP,
            CALL % b"<param><value><int>x</int></value></param>",
            CALL % (b"<param><value><int>" + b"9" * 5_000 + b"</int></value></param>"),
            CALL % b"<param><value><dateTime.iso8601>x</dateTime.iso8601></value></param>",
            CALL
            % b"<param><value><struct><member><name>x</name></member></struct></value></param>",
            CALL % b"<param><value><string>\xff</string></value></param>",
            b"<?xml version='1.0' encoding='utf-7'?><methodCall>+ADw-</methodCall>",
            b"<methodCall><fault><value><int>1</int></value></fault></methodCall>",
        ],
    )
    async def test_t31_what_is_no_call_is_a_fault(self, stage: Stage, body: bytes) -> None:
        """Bombs, entities, depth and broken values are refused alike."""
        response = await post(stage, body)
        assert response.status_code == 200
        with pytest.raises(xmlrpc.client.Fault) as fault:
            xmlrpc.client.loads(response.content)
        assert fault.value.faultCode == -32700

    async def test_t31_a_long_body_is_413(self, stage: Stage) -> None:
        """It is not read to its end."""
        assert (await post(stage, b"x" * (door.LIMIT + 1))).status_code == 413

    @given(st.one_of(st.binary(), st.text().map(str.encode), st.just(CALL)).map(bytes))
    def test_t31_no_body_does_more_than_be_refused(self, body: bytes) -> None:
        """Whatever comes, it is a call or a Fault."""
        try:
            calls.parse(body)
        except xmlrpc.client.Fault:
            return

    @pytest.mark.parametrize(
        ("content_type", "expected"),
        [
            ("text/xml", True),
            ("Text/XML; charset=utf-8", True),
            ("application/xml", True),
            ("multipart/form-data; boundary=x", False),
            ("", False),
        ],
    )
    def test_what_an_upload_is_told_from(self, content_type: str, expected: bool) -> None:
        """The media type tells a call from an upload to the same URL."""
        headers = [(b"content-type", content_type.encode())]
        assert door.is_call(Request({"type": "http", "headers": headers})) is expected
