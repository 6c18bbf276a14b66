"""The ledger in DynamoDB: the contract, and what only concerns DynamoDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app import errors
from app.access import trail
from app.access.dynamodb.ledger import DynamoDBLedger, counting
from app.access.dynamodb.ledger import trail as trail_in_dynamodb
from app.access.ledger import Ledger
from tests.access.test_dynamodb import opened, refusal, table_of
from tests.contracts.ledger import ENTRY, MINUTE, NOW, SESSION, TOKEN, LedgerContract, all_of
from tests.servers import dynamodb
from tests.servers.faults import between
from tests.servers.plans import Fault, Rule, Seeded


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Where the ledger is kept; nobody has been there yet."""
    async with dynamodb.place("access") as found:
        yield found


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[DynamoDBLedger]:
    """An empty ledger."""
    async with opened(url) as found:
        yield found.ledger


@pytest.fixture
async def elsewhere(url: str, ledger: Ledger) -> AsyncIterator[DynamoDBLedger]:
    """The same through a connection of its own."""
    async with opened(url) as found:
        yield found.ledger


class TestContract(LedgerContract):
    """What every ledger promises."""


async def items(url: str) -> list[dict[str, Any]]:
    """All items of the table."""
    found: list[dict[str, Any]] = (await dynamodb.ask("Scan", TableName=table_of(url))).json()[
        "Items"
    ]
    return found


async def test_the_table_removes_by_itself_what_is_over(url: str, ledger: Ledger) -> None:
    """Its time to live is set, and every item that ends says when: never before its end."""
    told = await dynamodb.ask("DescribeTimeToLive", TableName=table_of(url))
    assert told.json()["TimeToLiveDescription"]["AttributeName"] == "until"
    await ledger.tokens.add(TOKEN)
    await ledger.sessions.add(SESSION)
    await ledger.once.use("jti", "1", NOW)
    await ledger.attempts.add("k", MINUTE, NOW)
    ends = {
        "token": TOKEN.expires + timedelta(days=1),
        "awaiting": TOKEN.expires + timedelta(days=1),
        "session": SESSION.expires,
        "once": NOW,
        "attempts": NOW + MINUTE,
    }
    for one in await items(url):
        kind = one["pk"]["S"].partition("#")[0].removesuffix("s")
        end = ends.get(kind) or ends[f"{kind}s"]
        assert 0 < int(one["until"]["N"]) - end.timestamp() <= 1


async def test_nothing_stays_of_what_is_gone(url: str, ledger: Ledger) -> None:
    """With a token, and a session, go the pointers that lead to it."""
    await ledger.tokens.add(replace(TOKEN, id="x" * 12))
    await ledger.tokens.add(replace(TOKEN, publisher="p1", parent="x" * 12))
    await ledger.sessions.add(SESSION)
    assert len(await items(url)) == 10
    with pytest.raises(errors.TokenNotFound):
        await ledger.tokens.add(replace(TOKEN, id="y" * 12, parent="z" * 12))
    assert len(await items(url)) == 10
    assert await ledger.tokens.revoke(TOKEN.id)
    assert await ledger.tokens.revoke("x" * 12)
    assert await ledger.sessions.end(SESSION.digest)
    assert await items(url) == []


async def test_a_revocation_that_broke_off_is_there_to_be_done_again(
    url: str, ledger: Ledger
) -> None:
    """Until then the token is found, with what was made with it, and makes no more."""
    await ledger.tokens.add(TOKEN)
    await ledger.tokens.add(replace(TOKEN, id="b" * 12, parent=TOKEN.id))
    await dynamodb.ask(
        "UpdateItem",
        TableName=table_of(url),
        Key={"pk": {"S": f"token#{TOKEN.id}"}, "sk": {"S": "-"}},
        UpdateExpression="SET ending = :yes",
        ExpressionAttributeValues={":yes": {"BOOL": True}},
    )
    assert {token.id for token in await ledger.tokens.of("alice")} == {TOKEN.id, "b" * 12}
    with pytest.raises(errors.TokenNotFound):
        await ledger.tokens.add(replace(TOKEN, id="c" * 12, parent=TOKEN.id))
    assert await ledger.tokens.revoke(TOKEN.id)
    assert await items(url) == []


async def test_a_pointer_that_leads_nowhere_is_passed_over(url: str, ledger: Ledger) -> None:
    """What DynamoDB removed by itself, or a crash left half, is neither found nor in the way."""
    await ledger.tokens.add(TOKEN)
    await ledger.sessions.add(SESSION)
    for kind, id in (("token", TOKEN.id), ("session", SESSION.digest)):
        key = {"pk": {"S": f"{kind}#{id}"}, "sk": {"S": "-"}}
        await dynamodb.ask("DeleteItem", TableName=table_of(url), Key=key)
    assert await ledger.tokens.of("alice") == []
    assert await ledger.sessions.of("alice") == []
    assert await ledger.tokens.revoke_all("alice") == 0
    assert await ledger.tokens.sweep(TOKEN.expires + timedelta(days=2)) == 0
    assert await ledger.sessions.sweep(SESSION.expires + timedelta(days=2)) == 0
    left = {one["pk"]["S"] for one in await items(url)}
    assert left == {"awaiting#django"}


async def test_attempts_of_one_key_stay_few(url: str, ledger: Ledger) -> None:
    """However long it goes on, an item holds the buckets of a window and a few more."""
    window = timedelta(seconds=10)
    for n in range(150):
        count = await ledger.attempts.add("k", window, NOW + n * timedelta(seconds=1))
        assert count == min(n + 1, 10)
    (one,) = await items(url)
    assert len(one) < counting.STALE + 20


async def test_an_attempt_counts_a_part_of_the_window_less_at_most(ledger: Ledger) -> None:
    """Attempts are counted in buckets: each for its window, less a three-hundredth."""
    window = timedelta(seconds=300)
    for n in range(20):
        at = NOW + n * timedelta(seconds=7, microseconds=123_457)
        await ledger.attempts.add(f"k{n}", window, at)
        short = window - timedelta(seconds=1)
        assert await ledger.attempts.count(f"k{n}", window, at + short) == 1
        assert await ledger.attempts.count(f"k{n}", window, at + window) == 0


async def test_the_trail_goes_on_in_another_partition(
    ledger: Ledger, elsewhere: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No partition grows without an end, and whoever reads does not notice."""
    monkeypatch.setattr(trail_in_dynamodb, "BLOCK", 4)
    for n in range(9):
        await (ledger, elsewhere)[n % 2].trail.append(replace(ENTRY, target=f"token:{n}"))
    assert (await trail.verify(ledger.trail.entries())).entries == 9
    for after in range(10):
        numbers = [entry.number for entry in await all_of(elsewhere, after=after)]
        assert numbers == list(range(after + 1, 10))


async def test_the_trail_is_whole_through_a_bad_line(url: str) -> None:
    """Answers that are lost are asked for again: no entry is there twice, none is missing."""
    with between(dynamodb.server().port) as proxy:
        async with opened(url, proxy.url, timeout="40 s") as access:
            proxy.plan = Seeded(5, 0.15, [Fault.RESET, Fault.LOST])
            every = (access.ledger.trail.append(replace(ENTRY, target=f"t{n}")) for n in range(60))
            made = await asyncio.gather(*every)
            assert sorted(entry.number for entry in made) == list(range(1, 61))
            found = await all_of(access.ledger)
    assert {entry.target for entry in found} == {f"t{n}" for n in range(60)}
    assert len(found) == 60


async def test_step_13_a_lost_answer_does_not_use_an_id_up(url: str) -> None:
    """What was put is known again when it is put once more; others are refused all the same."""
    with between(dynamodb.server().port) as proxy:
        async with opened(url, proxy.url, timeout="40 s") as access:
            once = access.ledger.once
            proxy.plan = Seeded(3, 0.5, [Fault.LOST])
            answers = [await once.use("jti", f"{n}", NOW) for n in range(20)]
            assert len(proxy.seen) > 25  # some were asked again
            assert answers == [True] * 20
            assert [await once.use("jti", f"{n}", NOW) for n in range(20)] == [False] * 20


async def test_an_outage_is_unavailable(url: str) -> None:
    """No question of the ledger is answered by guessing."""
    with between(dynamodb.server().port) as proxy:
        async with opened(url, proxy.url) as access:
            ledger = access.ledger
            proxy.plan = Rule(refusal("AccessDeniedException"))
            for question in (
                ledger.tokens.find(TOKEN.id),
                ledger.tokens.revoke(TOKEN.id),
                ledger.publishers.at("x"),
                ledger.sessions.find(SESSION.digest),
                ledger.once.use("jti", "1", NOW),
                ledger.attempts.count("k", MINUTE, NOW),
                ledger.attempts.add("k", MINUTE, NOW),
                ledger.trail.append(ENTRY),
                all_of(ledger),
            ):
                with pytest.raises(errors.AccessUnavailable):
                    await question
