"""Users and grants in one secret, as PyPICloud 1 kept them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from packaging.utils import NormalizedName
from ulid import ULID

from app import errors
from app.access.aws_secrets import connect
from app.access.aws_secrets.document import book_of, document_of
from app.access.base import UNBOUND, Access, EditableAccess
from app.access.kept import KeptAccess
from app.access.passwords import Passwords
from app.models import Permission
from app.testing.access import HASH, PASSWORD, READERS, AccessContract, ReadingContract
from tests.access.conftest import CHEAP
from tests.servers import secrets
from tests.servers.faults import FaultProxy, between
from tests.servers.plans import Answer, Fault, Rule, Seeded

FLASK = NormalizedName("flask")
READ, UPLOAD, MANAGE = Permission.READ, Permission.UPLOAD, Permission.MANAGE
LEGACY = {
    "users": {"Ada": HASH, "bob": HASH, "a b": HASH, "Eve": HASH, "eve": HASH},
    "groups": {"Ops": ["ada", "bob"], "everyone": ["bob"]},
    "admins": ["Ada"],
    "pending_users": {"cid": HASH},
    "allow_registration": True,
    "packages": {
        "Flask": {"groups": {"everyone": ["read"]}, "users": {"Ada": ["read", "write"]}},
        "flask": {"groups": {"Ops": ["read"]}, "users": {}},
        "no project!": {"groups": {}, "users": {"ada": ["read"]}},
    },
    "somebody else's": [1, 2],
}
KNOWN = "ada has a passphrase"
# Of "secret", with the fewest rounds that there are.
_SHA512 = (
    "$6$rounds=1000$saltsalt$"
    "LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/"
)


@asynccontextmanager
async def opened(name: str, port: int | None = None, **options: Any) -> AsyncIterator[KeptAccess]:
    """Access in the secret; ``options`` are of Secrets Manager."""
    chosen = secrets.options_at(port or secrets.port()) | {"cache": "1 ms", "create": True}
    async with connect(f"aws-secrets:{name}", {**CHEAP, "aws_secrets": chosen | options}) as access:
        yield access


@pytest.fixture
def secret() -> str:
    """The name of a secret that is not there yet."""
    return f"pypicloud/{ULID()}"


@pytest.fixture
def legacy(secret: str) -> str:
    """The name of a secret that PyPICloud 1 left."""
    secrets.ask("CreateSecret", Name=secret, SecretString=json.dumps(LEGACY))
    return secret


@pytest.fixture
async def access(secret: str) -> AsyncIterator[EditableAccess]:
    """No users yet."""
    async with opened(secret) as found:
        yield found


@pytest.fixture
async def elsewhere(secret: str, access: EditableAccess) -> AsyncIterator[EditableAccess]:
    """The same users through a connection of its own."""
    async with opened(secret) as found:
        yield found


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy before Secrets Manager."""
    with between(secrets.port()) as found:
        yield found


class TestContract(AccessContract):
    """What every access that can be edited promises."""


@pytest.fixture
async def reading(access: EditableAccess) -> Access:
    """Access that holds READERS."""
    await access.load(READERS)
    return access


class TestReading(ReadingContract):
    """What every access promises."""


def refusal(code: str) -> Answer:
    """An answer that is an error, as Secrets Manager words it."""
    body = json.dumps({"__type": code, "Message": "No."}).encode()
    return Answer(400, "Refused", ("Content-Type: application/x-amz-json-1.1",), body)


async def test_what_pypicloud_1_left_is_understood(legacy: str) -> None:
    """Users, admins, groups, who waits for approval, grants on projects under any spelling."""
    async with opened(legacy, create=False) as access:
        ada = await access.identify("ada", KNOWN)
        assert ada is not None
        assert ada.admin
        assert ada.principals == {"authenticated", "user:ada", "group:ops"}
        assert [(user.name, user.pending) for user in await access.users()] == [
            ("ada", False),
            ("bob", False),
            ("cid", True),
        ]
        assert await access.registration()
        granted = {
            "everyone": {READ},
            "user:ada": {READ, UPLOAD},
            "group:ops": {READ},
        }
        assert await access.all_grants() == {(FLASK, UNBOUND): granted}
        assert await access.grants(FLASK, "g1") == granted


async def test_two_names_that_differ_in_case_are_nobody(legacy: str) -> None:
    """Whose password would it be?"""
    async with opened(legacy) as access:
        assert await access.identify("eve", KNOWN) is None
        assert await access.user("eve") is None


async def test_what_is_not_understood_stays(legacy: str) -> None:
    """An edit writes back what is not ours as it was, and the rest in PyPICloud 1's shape."""
    async with opened(legacy) as access:
        await access.set_disabled("bob", True)
        await access.bind(FLASK, "g1")
        await access.grant(FLASK, "g0", "user:ada", frozenset({MANAGE}))
    mark = hashlib.sha256(HASH.encode()).hexdigest()[:16]
    number = int(mark[:12], 16)
    assert secrets.document(legacy) == {
        "users": {"ada": HASH, "a b": HASH, "Eve": HASH, "eve": HASH},
        "groups": {"ops": ["ada", "bob"], "everyone": ["bob"]},
        "admins": ["ada"],
        "pending_users": {"cid": HASH},
        "disabled_users": {"bob": HASH},
        "versions": {"bob": {"version": number + 1, "of": mark}},
        "allow_registration": True,
        "packages": {
            "flask": {
                "groups": {"everyone": ["read"], "ops": ["read"]},
                "users": {"ada": ["read", "write"]},
                "generation": "g1",
                "generations": {"g0": {"groups": {}, "users": {"ada": ["manage"]}}},
            },
            "no project!": {"groups": {}, "users": {"ada": ["read"]}},
        },
        "somebody else's": [1, 2],
    }


async def test_what_was_proved_ends_with_the_password_and_with_being_disabled(
    access: EditableAccess, elsewhere: EditableAccess
) -> None:
    """The version of a user is another one then, wherever it is asked for, and else the same."""
    await access.add_user("ada", "a fine long passphrase")
    edits = (
        partial(access.set_password, "ada", "quite another passphrase"),
        partial(access.set_disabled, "ada", True),
        partial(access.set_password, "ada", "a third fine passphrase"),
    )
    seen = [await version_of(access, "ada")]
    for edit in edits:
        await edit()
        await access.set_disabled("ada", False)
        await access.set_admin("ada", True)
        seen.append(await version_of(access, "ada"))
    assert len(set(seen)) == len(seen)
    async with asyncio.timeout(60):
        while await version_of(elsewhere, "ada") != seen[-1]:
            await asyncio.sleep(0.1)


async def test_what_was_proved_ends_with_a_hash_that_somebody_else_wrote(secret: str) -> None:
    """Also where the version of the user stands there from before; ours of the same does not."""
    async with opened(secret) as access:
        await access.add_user("ada", PASSWORD)
        await access.set_password("ada", "quite another passphrase")
        seen = [await version_of(access, "ada")]
    for hashed in (HASH, await Passwords().hash("a third fine passphrase")):
        document = secrets.document(secret)
        document["users"]["ada"] = hashed
        secrets.ask("PutSecretValue", SecretId=secret, SecretString=json.dumps(document))
        async with opened(secret) as access:
            seen.append(await version_of(access, "ada"))
            await access.set_admin("ada", True)
            assert await version_of(access, "ada") == seen[-1]
    assert len(set(seen)) == 3


async def test_a_hash_made_anew_ends_nothing_that_was_proved(secret: str) -> None:
    """It is of the same password."""
    former = json.dumps({"users": {"ada": _SHA512}})
    secrets.ask("CreateSecret", Name=secret, SecretString=former)
    async with opened(secret) as access:
        before = await version_of(access, "ada")
        identity = await access.identify("ada", "secret")
        assert identity is not None
        async with asyncio.timeout(60):
            while secrets.document(secret)["users"]["ada"] == _SHA512:
                await asyncio.sleep(0.1)
        assert await version_of(access, "ada") == before == identity.version
    async with opened(secret) as access:
        assert await version_of(access, "ada") == before


async def version_of(access: EditableAccess, name: str) -> str:
    """What changes with the password."""
    found = await access.known(name)
    assert found is not None
    return found.version


def test_a_book_is_what_was_written_of_it() -> None:
    """Whatever a document says is said again by the document that is made of it."""
    book = book_of(json.loads(json.dumps(LEGACY)))
    again = document_of(book, LEGACY)
    assert book_of(again) == book
    assert document_of(book_of(again), again) == again


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"users": []}',
        '{"users": {"ada": 7}}',
        '{"groups": {"ops": "ada"}}',
        '{"groups": {"ops": [7]}}',
        '{"admins": "ada"}',
        '{"versions": {"ada": "2"}}',
        '{"versions": {"ada": {"version": "2"}}}',
        '{"packages": {"flask": []}}',
        '{"packages": {"flask": {"users": {"ada": "read"}}}}',
        '{"packages": {"flask": {"generation": 7}}}',
        '{"packages": {"flask": {"generations": {"g": 7}}}}',
    ],
)
async def test_a_secret_that_is_not_in_shape_is_unavailable(secret: str, text: str) -> None:
    """It is no "nobody", and it is not overwritten."""
    secrets.ask("CreateSecret", Name=secret, SecretString=text or '"text"')
    with pytest.raises(errors.AccessUnavailable, match="not in shape"):
        async with opened(secret):
            pass
    assert secrets.ask("GetSecretValue", SecretId=secret)["SecretString"] == (text or '"text"')


async def test_no_edit_is_lost(access: EditableAccess, elsewhere: EditableAccess) -> None:
    """Edits at once through two connections are all there: a lost race is run again."""
    await asyncio.gather(
        *((access, elsewhere)[n % 2].add_user(f"user{n}", PASSWORD) for n in range(8))
    )
    assert sorted(user.name for user in await access.users()) == [f"user{n}" for n in range(8)]


async def test_of_racing_makers_one_makes_it(
    access: EditableAccess, elsewhere: EditableAccess
) -> None:
    """Where both find no secret, one makes it and the other adds to that."""
    await asyncio.gather(access.add_user("ada", PASSWORD), elsewhere.add_user("bob", PASSWORD))
    assert [user.name for user in await access.users()] == ["ada", "bob"]


async def test_the_secret_is_remembered_for_seconds(legacy: str) -> None:
    """For so long as is set an edit elsewhere is not seen; one's own is seen at once."""
    async with opened(legacy, cache="1 min") as access:
        assert await access.known("bob") is not None
        text = json.dumps({**LEGACY, "users": {"Ada": HASH}})
        secrets.ask("PutSecretValue", SecretId=legacy, SecretString=text)
        assert await access.known("bob") is not None
        await access.set_admin("ada", False)
        assert await access.known("bob") is None
        ada = await access.known("ada")
        assert ada is not None
        assert not ada.admin


async def test_a_legacy_hash_is_made_anew(legacy: str) -> None:
    """At a login a hash of former times is replaced; a minute's many are one write."""
    async with opened(legacy) as access:
        old = {**LEGACY, "users": {"ada": _SHA512, "bob": _SHA512}}
        secrets.ask("PutSecretValue", SecretId=legacy, SecretString=json.dumps(old))
        assert await access.identify("ada", "secret") is not None
        assert await access.identify("bob", "secret") is not None
        users = secrets.document(legacy)["users"]
        assert users["ada"].startswith("$argon2id$")
        assert users["bob"] == _SHA512
        assert await access.identify("ada", "secret") is not None


async def test_more_than_a_secret_holds_is_refused(access: EditableAccess) -> None:
    """With a clear word, and nothing changes."""
    await access.add_user("ada", PASSWORD)
    everyone = frozenset({READ})
    people = await access.people()
    many = {(NormalizedName(f"project-{n}"), "g" * 26): {"everyone": everyone} for n in range(900)}
    with pytest.raises(errors.TooLarge, match="64 KiB"):
        await access.load(type(people)(grants=many))
    assert await access.all_grants() == {}


async def test_no_secret_is_made_unasked(secret: str) -> None:
    """Without the setting, a secret that is not there is one line at the start."""
    with pytest.raises(errors.Misconfigured, match="PYPICLOUD_AWS_SECRETS__CREATE"):
        async with opened(secret, create=False):
            pass


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.SILENT, refusal("InternalServiceError")])
async def test_an_outage_is_unavailable(
    legacy: str, proxy: FaultProxy, fault: Fault | Answer
) -> None:
    """Neither "nobody" nor "no grants": nothing is known."""
    async with opened(legacy, proxy.port, timeout="6 s") as access:
        proxy.plan = Rule(fault)
        await asyncio.sleep(0.05)  # what is remembered for a millisecond is not any more
        outcomes = await asyncio.gather(
            access.identify("ada", KNOWN),
            access.grants(FLASK, None),
            access.add_user("dan", PASSWORD),
            return_exceptions=True,
        )
        assert all(isinstance(one, errors.AccessUnavailable) for one in outcomes), outcomes


async def test_edits_through_a_bad_line_are_done_once(secret: str, proxy: FaultProxy) -> None:
    """Answers that are lost are asked for again; no edit is done twice or lost."""
    async with opened(secret, proxy.port, timeout="30 s") as access:
        proxy.plan = Seeded(3, 0.2, [Fault.RESET, Fault.LOST])
        for n in range(5):
            await access.add_user(f"user{n}", PASSWORD)
        assert [user.name for user in await access.users()] == [f"user{n}" for n in range(5)]


@pytest.mark.parametrize(
    ("code", "said"),
    [("AccessDeniedException", "GetSecretValue"), ("UnrecognizedClientException", "not accepted")],
)
async def test_a_start_that_is_refused_is_one_line(
    legacy: str, proxy: FaultProxy, code: str, said: str
) -> None:
    """It names the secret, and says what is missing."""
    proxy.plan = Rule(refusal(code))
    with pytest.raises(errors.Misconfigured, match=said) as caught:
        async with opened(legacy, proxy.port):
            pass
    assert legacy in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["aws-secrets:", "aws-secrets:a b", "aws-secrets://x?y"])
async def test_a_url_that_cannot_work(url: str) -> None:
    """It is refused, by what it should be."""
    with pytest.raises(errors.Misconfigured, match="aws-secrets:NAME"):
        async with connect(url, {}):
            pass
