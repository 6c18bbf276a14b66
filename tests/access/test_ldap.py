"""Users of a directory: slapd, in the clear and with TLS, in order and out of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ldap as libldap
import pytest
import trustme

from app import errors
from app.access.base import Access
from app.access.ldap import connect
from app.access.ldap.directory import IN_CHAIN
from app.models import Identity
from tests.contracts.access_reading import PASSWORD, ReadAccessContract
from tests.servers import ldap
from tests.servers.ldap import DIRECTORY, GROUPS, PEOPLE, ROOT, SERVICE, SUFFIX, LdapServer
from tests.servers.plumbing import Pipe

OPTIONS: dict[str, Any] = {
    "bind_dn": SERVICE[0],
    "bind_password": SERVICE[1],
    "base_dn": PEOPLE,
    "user_filter": "(&(objectClass=inetOrgPerson)(uid={username}))",
    "group_attribute": "memberOf",
    "admin_groups": f"cn=admins,{GROUPS}",
}
BY_DN: dict[str, Any] = {
    **{key: value for key, value in OPTIONS.items() if key not in ("base_dn", "user_filter")},
    "user_dn": f"uid={{username}},{PEOPLE}",
}
ACTIVE: dict[str, Any] = {
    "bind_dn": SERVICE[0],
    "bind_password": SERVICE[1],
    "base_dn": DIRECTORY,
    "user_filter": "(&(objectClass=user)(!(userAccountControl=514))"
    "(|(sAMAccountName={username})(userPrincipalName={username})))",
    "name_attribute": "sAMAccountName",
    "group_attribute": "memberOf",
}


@asynccontextmanager
async def opened(url: str | None = None, **options: Any) -> AsyncIterator[Access]:
    """The users of the shared server, as OPTIONS finds them, but for ``options``."""
    async with connect(url or ldap.server().url, OPTIONS | options) as access:
        yield access


def groups_of(identity: Identity | None) -> set[str]:
    """The names of the groups."""
    assert identity is not None
    return {name.removeprefix("group:") for name in identity.principals if name[:6] == "group:"}


async def groups(**options: Any) -> set[str]:
    """Alice's groups by these options."""
    async with opened(**options) as access:
        return groups_of(await access.identify("alice", PASSWORD))


def edit(server: LdapServer, dn: str, attribute: str, value: str) -> None:
    """Somebody else's change."""
    connection = libldap.initialize(server.url)
    connection.simple_bind_s(*ROOT)
    connection.modify_s(dn, [(libldap.MOD_REPLACE, attribute, [value.encode()])])
    connection.unbind_s()


@pytest.fixture(params=["filter", "dn"])
async def readable(request: pytest.FixtureRequest) -> AsyncIterator[Access]:
    """The directory, found in each way."""
    options = BY_DN if request.param == "dn" else OPTIONS
    async with connect(ldap.server().url, options) as access:
        yield access


class TestContract(ReadAccessContract):
    """What every access backend promises."""


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[LdapServer]:
    """A server of the test's own."""
    with ldap.own_server(tmp_path / "slapd") as server:
        yield server


@contextmanager
def frozen(server: LdapServer) -> Iterator[None]:
    """While the block runs, the server takes connections and says nothing."""
    os.killpg(server.running.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(server.running.pid, signal.SIGCONT)


@contextmanager
def counting() -> Iterator[tuple[str, list[bytearray]]]:
    """A way to the server that notes each connection, and what was sent on it."""
    with closing(Pipe(ldap.server().port)) as pipe:
        yield f"ldap://127.0.0.1:{pipe.port}", pipe.seen


async def test_a_directory_grants_nothing() -> None:
    """Its members have rights by name or group, from elsewhere; it cannot be exported."""
    async with opened() as access:
        assert await access.all_grants() == {}
        with pytest.raises(errors.NotEditable):
            await access.people()


@pytest.mark.parametrize("options", [OPTIONS, BY_DN], ids=["filter", "dn"])
async def test_a_name_with_a_sign_of_the_dn_grammar_is_escaped(options: dict[str, Any]) -> None:
    """A plus belongs to the name, in a filter and in a DN."""
    async with connect(ldap.server().url, options) as access:
        identity = await access.identify("dev+ops", PASSWORD)
        assert identity is not None
        assert identity.actor.id == "dev+ops"
        assert await access.identify("dev+ops", "wrong") is None


async def test_two_entries_of_one_name_are_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Where the search finds several, nobody gets in, and the log says why."""
    async with opened() as access:
        assert await access.identify("twin", PASSWORD) is None
        assert await access.known("twin") is None
    assert "more than one entry" in caplog.text
    async with opened(base_dn=f"ou=annex,{PEOPLE}") as access:
        assert await access.identify("twin", PASSWORD) is not None


async def test_a_service_that_may_not_search_is_told() -> None:
    """A directory that tells the anonymous nothing needs a service; the start says so."""
    with pytest.raises(errors.Misconfigured, match="does not let PYPICLOUD_LDAP__BIND_DN search"):
        async with opened(bind_dn="", bind_password=None):
            pass


async def test_groups_are_those_of_the_attribute() -> None:
    """Names of groups get our spelling; what cannot have one is left out."""
    assert await groups() == {"web-team"}
    assert await groups(group_attribute="") == set()
    settings = {"group_names": {f"CN=web team,{GROUPS}": "web", "Développeurs": "Devs"}}
    assert await groups(**settings) == {"web", "devs"}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"group_base_dn": GROUPS}, {"web-team"}),
        ({"group_base_dn": GROUPS, "group_filter": "(cn=web*)"}, {"web-team"}),
        ({"group_base_dn": GROUPS, "group_filter": "(cn=none)"}, set()),
        ({"group_base_dn": f"ou=unique,{SUFFIX}", "group_member": "uniqueMember"}, {"unique"}),
        ({"group_base_dn": f"ou=posix,{SUFFIX}", "group_member": "memberUid"}, {"posix"}),
        ({"group_base_dn": f"ou=nowhere,{SUFFIX}"}, set()),
    ],
    ids=["member", "filter", "nothing", "uniqueMember", "memberUid", "nowhere"],
)
async def test_groups_are_searched(options: dict[str, Any], found: set[str]) -> None:
    """By whichever attribute names their members, below their own base."""
    assert await groups(group_attribute="", **options) == found


@pytest.mark.parametrize("options", [{}, {"group_base_dn": GROUPS}], ids=["attribute", "search"])
async def test_groups_in_groups(options: dict[str, Any]) -> None:
    """A member of a group in a group is of both, if that is asked for; a ring has an end."""
    assert await groups(**options) == {"web-team"}
    assert await groups(nested_groups="walk", **options) == {"web-team", "everything", "ring"}


async def test_active_directory_is_asked_by_its_rule() -> None:
    """With matching-rule, the search for groups names the rule, the attribute and the user."""
    options = {"group_base_dn": GROUPS, "nested_groups": "matching-rule"}
    with counting() as (url, seen):
        async with opened(url, **options) as access:
            assert await access.identify("alice", PASSWORD) is not None
    rule, _, rest = b"".join(seen).rpartition(IN_CHAIN.encode())
    # RFC 4511: matchingRule [1], type [2], matchValue [3], each with its length.
    dn = f"uid=alice,{PEOPLE}".encode()
    assert rule[-2:] == bytes([0x81, len(IN_CHAIN)])
    assert rest.startswith(b"\x82\x06member\x83" + bytes([len(dn)]) + dn)


async def test_names_of_active_directory() -> None:
    """Found by either name, a user is known by the one that the settings say."""
    async with connect(ldap.server().url, ACTIVE) as access:
        by_account = await access.identify("Alice", PASSWORD)
        by_principal = await access.identify("alice.liddell@corp.example.org", PASSWORD)
        assert by_account is not None
        assert by_account == by_principal
        assert by_account.actor.id == "alice"
        assert groups_of(by_account) == {"packagers"}


async def test_the_filter_keeps_the_disabled_out() -> None:
    """Whom the filter leaves out is nobody, although the directory would let them in."""
    async with connect(ldap.server().url, ACTIVE) as access:
        assert await access.identify("bob", PASSWORD) is None
        assert await access.known("bob") is None
    both = ACTIVE | {"user_filter": "(sAMAccountName={username})"}
    async with connect(ldap.server().url, both) as access:
        assert await access.identify("bob", PASSWORD) is not None


async def test_an_entry_without_the_name_asked_for_is_nobody() -> None:
    """Who has no name here, or several, is not known by another one."""
    async with opened(name_attribute="mail") as access:
        assert await access.identify("alice", PASSWORD) is None


@pytest.mark.parametrize(
    ("options", "admins"),
    [
        ({"admin_groups": f"CN=Admins, {GROUPS}"}, {"bob"}),
        ({"admin_groups": "admins"}, {"bob"}),
        ({"admin_groups": "Web Team"}, {"alice", "carol"}),
        ({"admin_groups": "everything", "nested_groups": "walk"}, {"alice", "carol"}),
        ({"admin_groups": "everything"}, set()),
        ({"admin_groups": []}, set()),
        (
            {"admin_groups": [], "admin_attribute": "employeetype", "admin_values": "site admin"},
            {"dora"},
        ),
    ],
)
async def test_admins_by_group_or_attribute(options: dict[str, Any], admins: set[str]) -> None:
    """A group by DN or name, or the value of an attribute, makes an admin; nothing else does."""
    async with opened(**options) as access:
        found = set()
        for name in ("alice", "bob", "carol", "dora"):
            identity = await access.identify(name, PASSWORD)
            assert identity is not None
            found |= {name} if identity.admin else set()
    assert found == admins


@pytest.mark.parametrize("called", ["pypicloud", "PyPICloud"])
async def test_the_service_may_be_an_admin(called: str) -> None:
    """Under the name that the settings give it, with its own password alone."""
    async with opened(service_username=called) as access:
        identity = await access.identify("pypicloud", SERVICE[1])
        assert identity is not None
        assert identity.admin
        assert identity == await access.known("pypicloud")
        for wrong in ("", PASSWORD):
            assert await access.identify("pypicloud", wrong) is None
    async with opened() as access:
        assert await access.identify("pypicloud", SERVICE[1]) is None


async def test_what_is_remembered_ends(mine: LdapServer) -> None:
    """For so long as is set, groups and a right password hold; then what the directory says."""
    dn = f"uid=alice,{PEOPLE}"
    async with opened(mine.url, cache="30 s") as access:
        before = await access.identify("alice", PASSWORD)
        edit(mine, dn, "userPassword", "quite another passphrase")
        edit(mine, f"cn=Web Team,{GROUPS}", "member", f"uid=carol,{PEOPLE}")
        assert await access.identify("alice", PASSWORD) == before
        assert await access.identify("alice", "quite another passphrase") == before
    async with opened(mine.url, cache="1 ms") as access:
        assert await access.identify("alice", PASSWORD) is None
        assert groups_of(await access.identify("alice", "quite another passphrase")) == set()


async def test_an_unknown_user_costs_what_a_wrong_password_costs() -> None:
    """Both are one search and one bind, to each on a connection of its own."""
    for name in ("alice", "ghost", "twin"):
        with counting() as (url, seen):
            async with opened(url, cache="1 ms") as access:
                seen.clear()
                assert await access.identify(name, "wrong") is None
            search, bind = seen
        assert search.count(SERVICE[1].encode()) == 1
        assert bind.count(b"wrong") == 1


async def test_an_empty_password_is_not_even_sent() -> None:
    """It would be an anonymous bind, which succeeds: nothing reaches the server."""
    with counting() as (url, seen):
        async with connect(url, OPTIONS) as access:
            seen.clear()
            for wrong in ("", "\0", "x" * 2000):
                assert await access.identify("alice", wrong) is None
            assert await access.identify("a*", PASSWORD) is None
    assert seen == []


async def test_each_proof_is_on_a_fresh_connection() -> None:
    """Many at once do not take each other's place: every one is who the password says."""
    names = ["alice", "bob", "carol", "dora"] * 10
    async with opened(cache="1 ms") as access:
        right = await asyncio.gather(*(access.identify(name, PASSWORD) for name in names))
        wrong = await asyncio.gather(*(access.identify(name, "wrong") for name in names))
    assert [one and one.actor.id for one in right] == names
    assert wrong == [None] * len(names)


@pytest.mark.parametrize("how", ["ldaps", "starttls"])
async def test_nothing_is_sent_in_the_clear(how: str) -> None:
    """With TLS, from the first byte or from StartTLS on, who listens hears no password."""
    server = ldap.server()
    with closing(Pipe(server.running.ports["ldaps"] if how == "ldaps" else server.port)) as pipe:
        url = f"{'ldaps' if how == 'ldaps' else 'ldap'}://127.0.0.1:{pipe.port}"
        async with opened(url, start_tls=how == "starttls", ca_file=server.ca_file) as access:
            assert groups_of(await access.identify("alice", PASSWORD)) == {"web-team"}
            assert await access.identify("alice", "wrong") is None
    heard = b"".join(pipe.seen)
    assert len(pipe.seen) == 4
    assert not any(word.encode() in heard for word in (PASSWORD, SERVICE[1], "alice", SUFFIX))


@pytest.mark.parametrize("how", ["ldaps", "starttls"])
async def test_a_certificate_of_another_authority_is_refused(how: str, tmp_path: Path) -> None:
    """Nothing is sent to a server that cannot prove its name."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    server = ldap.server()
    url = server.tls_url if how == "ldaps" else server.url
    for ca_file in (tmp_path / "other.pem", None):
        with pytest.raises(errors.AccessUnavailable, match="certificate"):
            async with opened(url, start_tls=how == "starttls", ca_file=ca_file):
                pass


@pytest.mark.parametrize("how", ["ldaps", "starttls"])
async def test_a_certificate_of_another_name_is_refused(how: str) -> None:
    """The name in the URL is the one that the certificate must have."""
    server = ldap.server()
    url = (server.tls_url if how == "ldaps" else server.url).replace("127.0.0.1", "localhost")
    with pytest.raises(errors.AccessUnavailable, match="certificate"):
        async with opened(url, start_tls=how == "starttls", ca_file=server.ca_file):
            pass


@pytest.mark.parametrize("how", ["ldap", "ldaps", "starttls"])
async def test_a_frozen_server_is_given_up(mine: LdapServer, how: str) -> None:
    """One that takes the connection and says nothing holds nobody up; then it is asked again."""
    url = mine.tls_url if how == "ldaps" else mine.url
    options = {"timeout": "1 s", "cache": "1 ms", "ca_file": mine.ca_file}
    async with opened(url, start_tls=how == "starttls", **options) as access:
        with frozen(mine):
            began, spent = time.monotonic(), time.process_time()
            for question in (access.identify("alice", PASSWORD), access.known("alice")):
                with pytest.raises(errors.AccessUnavailable, match="did not answer within 1 s"):
                    await question
            assert time.monotonic() - began < 30
            assert time.process_time() - spent < 1, "it waits, and does not poll"
        assert await access.identify("alice", PASSWORD) is not None


async def test_a_full_house_is_busy(mine: LdapServer) -> None:
    """Whoever finds all connections taken for too long is told to come again."""
    async with opened(mine.url, timeout="1 s", connections=1, cache="1 ms") as access:
        with frozen(mine):
            every = (access.identify("alice", PASSWORD) for _ in range(4))
            outcomes = await asyncio.gather(*every, return_exceptions=True)
        assert {type(one) for one in outcomes} == {errors.AccessUnavailable, errors.Busy}


async def gone(server: ldap.LdapServer) -> None:
    """Wait until the server that was killed listens no more."""
    address = urlsplit(server.url)
    while True:
        try:
            socket.create_connection(("127.0.0.1", address.port or 0)).close()
        except OSError:
            return
        await asyncio.sleep(0.01)


async def test_a_server_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    """It is neither "nobody" nor a wrong password."""
    with ldap.own_server(tmp_path / "slapd") as server:
        async with opened(server.url, cache="1 ms") as access:
            assert await access.identify("alice", PASSWORD) is not None
            os.killpg(server.running.pid, signal.SIGKILL)
            await gone(server)
            for name in ("alice", "ghost"):
                with pytest.raises(errors.AccessUnavailable, match="cannot be"):
                    await access.identify(name, PASSWORD)
            with pytest.raises(errors.AccessUnavailable):
                async with opened(server.url):
                    pass


@pytest.mark.parametrize(
    "says",
    [b"", b"\x30\x84\xff\xff\xff\xff", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 100],
    ids=["nothing", "four gigabytes", "HTTP", "zeros"],
)
@pytest.mark.parametrize("start_tls", [False, True], ids=["plain", "starttls"])
async def test_a_server_that_talks_nonsense_is_unavailable(says: bytes, start_tls: bool) -> None:
    """What is no LDAP is no answer."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(says)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(errors.AccessUnavailable):
            async with opened(f"ldap://127.0.0.1:{port}", start_tls=start_tls, timeout="2 s"):
                pass


async def test_a_server_without_starttls_gets_no_password() -> None:
    """Where it says no, nothing more is sent."""
    heard = []
    over = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        # An extended response with the result protocolError.
        writer.write(bytes.fromhex("300c02010178070a010204000400"))
        heard.append(await reader.read(1000))
        writer.close()
        over.set()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(errors.AccessUnavailable, match="refuses StartTLS"):
            async with opened(f"ldap://127.0.0.1:{port}", start_tls=True):
                pass
        await over.wait()
    assert heard[1] == b""
    assert SERVICE[1].encode() not in b"".join(heard)


async def test_the_wrong_password_of_the_service_is_told() -> None:
    """At the start, by the names of the settings and without the password."""
    with pytest.raises(errors.Misconfigured, match="PYPICLOUD_LDAP__BIND_DN") as caught:
        async with opened(bind_password="hunter2"):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"user_filter": ""}, "user_dn, or base_dn and user_filter"),
        ({"user_dn": "uid={username}"}, "user_dn, or base_dn and user_filter"),
        ({"user_filter": "(uid=alice)"}, "{username}"),
        ({"user_filter": "(uid={username}"}, "no LDAP filter"),
        ({"group_base_dn": GROUPS, "group_filter": "(cn=x"}, "no LDAP filter"),
        ({"base_dn": "people"}, "BASE_DN is no DN"),
        ({"bind_password": ""}, "anonymous"),
        ({"bind_password": None}, "together"),
        ({"service_username": "x", "bind_dn": "", "bind_password": None}, "bind_dn"),
        ({"admin_attribute": "x"}, "admin_values"),
        ({"nested_groups": "matching-rule"}, "group_base_dn"),
        ({"nested_groups": "walk", "group_member": "memberUid"}, "memberUid"),
        ({"cache": "2 min"}, "cache"),
        ({"start_tls": True, "ca_file": "/nowhere.pem"}, "/nowhere.pem"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_options_that_cannot_work(options: dict[str, Any], said: str) -> None:
    """One line says which."""
    with pytest.raises(errors.Misconfigured) as caught:
        async with opened(**options):
            pass
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ldap://",
        "ldap:directory",
        "ldap://user:hunter2@127.0.0.1",
        "ldap://127.0.0.1/dc=example",
        "ldap://127.0.0.1:x",
        "ldap://[127.0.0.1",
        "ldap://directory.example",
    ],
)
async def test_a_url_that_cannot_work(url: str) -> None:
    """It is refused without quoting it; so is sending passwords in the clear."""
    with pytest.raises(errors.Misconfigured, match="ldaps://") as caught:
        async with opened(url):
            pass
    assert "hunter2" not in str(caught.value)


def test_a_port_where_nobody_listens_is_unavailable() -> None:
    """A start without an answer is one line."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))

        async def start() -> None:
            async with opened(f"ldap://127.0.0.1:{held.getsockname()[1]}"):
                pass

        with pytest.raises(errors.AccessUnavailable, match="cannot be reached"):
            asyncio.run(start())
