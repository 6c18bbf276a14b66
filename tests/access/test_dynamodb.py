"""Users, grants and the ledger in DynamoDB, and what may go wrong between us and it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.access.base import UNBOUND, Access, Account, People
from app.access.dynamodb import DynamoDBAccess, connect, leaves
from app.models import Permission
from app.testing.access import HASH, PASSWORD, READERS, AccessContract, ReadingContract
from tests.access.conftest import CHEAP
from tests.servers import dynamodb
from tests.servers.faults import FaultProxy, between
from tests.servers.plans import Answer, Fault, Rule, Seeded


@asynccontextmanager
async def opened(
    url: str, endpoint_url: str | None = None, **options: Any
) -> AsyncIterator[DynamoDBAccess]:
    """Access there; ``options`` are of DynamoDB."""
    chosen = dynamodb.options_at(endpoint_url or dynamodb.server().endpoint_url)
    async with connect(url, {**CHEAP, "dynamodb": chosen | options}) as access:
        yield access


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Where the users are kept; nobody has been there yet."""
    async with dynamodb.place("access") as found:
        yield found


@pytest.fixture
async def access(url: str) -> AsyncIterator[DynamoDBAccess]:
    """No users yet."""
    async with opened(url) as found:
        yield found


@pytest.fixture
async def elsewhere(url: str, access: DynamoDBAccess) -> AsyncIterator[DynamoDBAccess]:
    """The same users through a connection of its own."""
    async with opened(url) as found:
        yield found


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy before DynamoDB."""
    with between(dynamodb.server().port) as found:
        yield found


class TestContract(AccessContract):
    """What every access that can be edited promises."""


@pytest.fixture
async def reading(access: DynamoDBAccess) -> Access:
    """Access that holds READERS."""
    await access.load(READERS)
    return access


class TestReading(ReadingContract):
    """What every access promises."""


def table_of(url: str) -> str:
    """The name of the table."""
    return f"{url.rpartition('/')[2]}-access"


def refusal(code: str) -> Answer:
    """An answer that is an error, as DynamoDB words it."""
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "No."}
    headers = ("Content-Type: application/x-amz-json-1.0",)
    return Answer(400, "Refused", headers, json.dumps(body).encode())


async def test_no_edit_is_lost(access: DynamoDBAccess, elsewhere: DynamoDBAccess) -> None:
    """Edits at once through two connections are all there, and both know."""
    await asyncio.gather(
        *((access, elsewhere)[n % 2].add_user(f"user{n}", PASSWORD) for n in range(24))
    )
    names = sorted(f"user{n}" for n in range(24))
    for one in (access, elsewhere):
        assert sorted(user.name for user in await one.users()) == names


async def test_of_racing_users_one_is_added(
    access: DynamoDBAccess, elsewhere: DynamoDBAccess
) -> None:
    """Of several who add one name at once, one succeeds and the rest are refused."""
    outcomes = await asyncio.gather(
        *((access, elsewhere)[n % 2].add_user("alice", PASSWORD) for n in range(8)),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes].count(errors.UserExists) == 7
    assert len(await access.users()) == 1


async def test_a_multitude_is_loaded_at_once(
    access: DynamoDBAccess, elsewhere: DynamoDBAccess
) -> None:
    """Thousands of users, groups and grants are one edit, seen whole or not at all."""
    crowd = People(
        accounts=tuple(Account(name=f"user{n:05d}", password=HASH) for n in range(5000)),
        groups={f"group{n}": frozenset(f"user{m:05d}" for m in range(n)) for n in range(200)},
        grants={
            (NormalizedName(f"project-{n}"), UNBOUND): {"everyone": frozenset({Permission.READ})}
            for n in range(2000)
        },
    )
    seen = set()
    loading = asyncio.create_task(access.load(crowd))
    while not loading.done():
        found = await elsewhere.people()
        seen.add((len(found.accounts), len(found.groups), len(found.grants)))
    await loading
    assert seen <= {(0, 0, 0), (5000, 200, 2000)}
    assert await elsewhere.people() == crowd
    await elsewhere.delete_user("user00000")
    assert len(await access.users()) == 4999


async def test_what_is_too_much_is_told(
    access: DynamoDBAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than an item holds is refused, and changes nothing."""
    monkeypatch.setattr(leaves, "LARGEST", 2000)
    crowd = tuple(Account(name=f"user{n}", password=HASH[:-12] + f"{n:012d}") for n in range(9000))
    with pytest.raises(errors.TooLarge, match="do not fit"):
        await access.load(People(accounts=crowd))
    assert await access.users() == []


async def test_a_question_reads_one_item(url: str, proxy: FaultProxy) -> None:
    """Where nothing was changed since, whoever is asked for costs one request."""
    async with opened(url, proxy.url) as access:
        await access.add_user("alice", PASSWORD)
        await access.users()
        before = len(proxy.seen)
        assert await access.identify("alice", PASSWORD) is not None
        assert await access.known("alice") is not None
        assert await access.grants(NormalizedName("flask"), "g1") == {}
        assert len(proxy.seen) - before == 3


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.SILENT, refusal("ThrottlingException")])
async def test_an_outage_is_unavailable(url: str, proxy: FaultProxy, fault: Fault | Answer) -> None:
    """Neither "nobody" nor "no grants": nothing is known."""
    async with opened(url, proxy.url, timeout="6 s") as access:
        await access.add_user("alice", PASSWORD)
        proxy.plan = Rule(fault)
        outcomes = await asyncio.gather(
            access.identify("alice", PASSWORD),
            access.known("alice"),
            access.grants(NormalizedName("flask"), None),
            access.add_user("bob", PASSWORD),
            return_exceptions=True,
        )
        assert all(isinstance(one, errors.AccessUnavailable) for one in outcomes), outcomes
        proxy.plan = Rule(fault, times=0)
        assert await access.identify("alice", PASSWORD) is not None


async def test_edits_through_a_bad_line_are_done_once(url: str, proxy: FaultProxy) -> None:
    """Answers that are lost are asked for again; no edit is done twice or torn."""
    proxy.plan = Seeded(7, 0.2, [Fault.RESET, Fault.LOST, Fault.CUT])
    async with opened(url, proxy.url, timeout="30 s") as access:
        for n in range(8):
            await access.add_user(f"user{n}", PASSWORD)
            await access.set_admin(f"user{n}", True)
        assert [user.name for user in await access.users()] == [f"user{n}" for n in range(8)]


async def test_a_table_that_is_gone_is_unavailable(url: str, access: DynamoDBAccess) -> None:
    """It is not made anew under a running service: nobody would be an admin then."""
    await access.add_user("alice", PASSWORD)
    await dynamodb.ask("DeleteTable", TableName=table_of(url))
    with pytest.raises(errors.AccessUnavailable):
        await access.identify("alice", PASSWORD)
    async with opened(url) as anew:
        assert await anew.users() == []
        assert await access.identify("alice", PASSWORD) is None


async def test_an_item_that_cannot_be_read_is_unavailable(url: str, access: DynamoDBAccess) -> None:
    """What somebody else wrote into the table is no answer, and no error of ours either."""
    await access.add_user("alice", PASSWORD)
    head = {"pk": {"S": "book"}, "sk": {"S": "head"}, "rev": {"N": "9"}, "body": {"B": "e30x"}}
    await dynamodb.ask("PutItem", TableName=table_of(url), Item=head)
    with pytest.raises(errors.AccessUnavailable, match="cannot be read"):
        await access.identify("alice", PASSWORD)


@pytest.mark.parametrize("wrong", ["dynamodb:", "dynamodb://key:hunter2@eu-central-1/pypicloud"])
async def test_a_url_that_cannot_work(wrong: str) -> None:
    """It is refused, by what it should be, without quoting what may be a password."""
    with pytest.raises(errors.Misconfigured, match="access as dynamodb://REGION") as caught:
        async with connect(wrong, {}):
            pass
    assert "hunter2" not in str(caught.value)


async def test_a_start_that_is_refused_names_the_rights(url: str, proxy: FaultProxy) -> None:
    """One line names the table, and says what is missing."""
    proxy.plan = Rule(refusal("AccessDeniedException"))
    with pytest.raises(errors.Misconfigured, match="UpdateTimeToLive") as caught:
        async with opened(url, proxy.url):
            pass
    assert table_of(url) in str(caught.value)
